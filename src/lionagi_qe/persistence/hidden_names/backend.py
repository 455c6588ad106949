"""A backend that is given hidden names alone, and whose names are read behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lionagi_qe.errors import AqeError, ConfigurationError, DecryptionError
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.contract.records import KeyPage, Page, PayloadPage
from lionagi_qe.persistence.hidden_names.coordination import (
    HiddenNamesJobs,
    HiddenNamesLeases,
    HiddenNamesLimits,
    HiddenNamesSchedules,
    stored_fence,
)
from lionagi_qe.persistence.hidden_names.log import HiddenNamesLog
from lionagi_qe.persistence.hidden_names.ranges import stored_range
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION, KeyRange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend, Capabilities
    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.contract.records import Record, Stats, Sweep
    from lionagi_qe.persistence.hidden_names.names import Names

T = TypeVar("T")


class HiddenNamesBackend:
    """Hides what is named to the backend, and reads what it names.

    Values are sealed in front of it, bound to the names as they are.

    Args:
        inner: stores hidden names.
        names: hides and reads them.
    """

    def __init__(self, inner: Backend, names: Names) -> None:
        self._inner = inner
        self._names = names
        for part in ("leases", "jobs", "schedules", "limits", "log"):
            if getattr(inner, part, None) is not None:
                setattr(self, part, self._part(part))

    def _part(self, part: str) -> object:
        whole, names = getattr(self._inner, part), self._names
        match part:
            case "leases":
                return HiddenNamesLeases(whole, names, self._answer)
            case "jobs":
                return HiddenNamesJobs(whole, names, self._answer, self._stored)
            case "schedules":
                return HiddenNamesSchedules(whole, names, self._answer)
            case "limits":
                return HiddenNamesLimits(whole, names, self._answer)
            case _:
                return HiddenNamesLog(whole, names, self._record)

    @property
    def inner(self) -> Backend:
        """The backend that stores hidden names."""
        return self._inner

    @property
    def names(self) -> Names:
        """What hides names."""
        return self._names

    @property
    def where(self) -> str:
        """The backend's place, for people."""
        return getattr(self._inner, "where", "")

    @property
    def capabilities(self) -> Capabilities:
        """The backend's promises."""
        return replace(self._inner.capabilities, ordered=False)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Open the backend; ConfigurationError if names lie there in clear or by another key."""
        await self._inner.open(fleet, migrate=migrate)
        try:
            page = await self._inner.page_keys(KeyRange.of_prefix(""), 1, None)
            for key in page.keys:
                self._names.read_key(key)
        except DecryptionError as error:
            await self._inner.close()
            msg = (
                f"fleet {fleet!r}: has names that were not hidden by the key "
                f"{self._names.key_id!r}; open it as it was made, and bring it into another fleet "
                "or memory, whose names are hidden, by 'aqe memory copy'"
            )
            raise ConfigurationError(msg) from error
        except BaseException:
            await self._inner.close()
            raise

    async def close(self) -> None:
        """Close the backend."""
        await self._inner.close()

    # Names on the way in, and on the way out

    def _partition(self, partition: str) -> str:
        # What everything is in that has no other tells nobody anything.
        if partition == DEFAULT_PARTITION:
            return partition
        return self._names.label("partition", partition)

    def _read_partition(self, stored: str) -> str:
        if stored == DEFAULT_PARTITION:
            return stored
        return self._names.read_label("partition", stored)

    def _stored(self, operations: Sequence[Operation]) -> list[Operation]:
        names, found = self._names, list[Any]()
        for each in operations:
            key = names.key(each.key)
            fence = None if each.fence is None else stored_fence(names, each.fence)
            if type(each) is Put:
                partition = self._partition(each.partition)
                found.append(
                    Put(
                        key,
                        each.payload,
                        partition,
                        each.ttl_ms,
                        each.if_revision,
                        each.keep,
                        fence,
                    )
                )
            else:
                # What servers compute on values is computed where these are sealed.
                found.append(replace(cast("Any", each), key=key, fence=fence))
        return found

    def _record(self, record: Record) -> Record:
        return record._replace(
            key=self._names.read_key(record.key), partition=self._read_partition(record.partition)
        )

    async def _answer(self, call: Awaitable[T]) -> T:
        """Return what the backend answers; its errors with names as they are."""
        try:
            found = await call
        except AqeError as error:
            self._tell(error)
            raise
        if isinstance(found, list):
            for each in found:
                if isinstance(each, AqeError):
                    self._tell(each)
        return found

    def _tell(self, error: AqeError) -> None:
        """Have an error name what was asked for."""
        error.args = tuple(
            self._names.told(each) if isinstance(each, str) else each for each in error.args
        )
        for attribute in ("key", "name"):
            stored = getattr(error, attribute, None)
            if isinstance(stored, str):
                setattr(error, attribute, self._names.told(stored))

    # Entries

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply the operations under hidden names."""
        return await self._answer(self._inner.write(self._stored(operations), atomic=atomic))

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Return the live values."""
        return await self._answer(self._inner.read_payloads([*map(self._names.key, keys)]))

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Return the live entries."""
        found = await self._answer(self._inner.read_records([*map(self._names.key, keys)]))
        return [None if each is None else self._record(each) for each in found]

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Return the first live entries of a range, in the order of stored names."""
        page = await self._page(self._inner.page, keys, limit, partition)
        return Page([*map(self._record, page.records)], self._after(page.after))

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Like ``page``, without revisions, partitions and times."""
        page = await self._page(self._inner.page_payloads, keys, limit, partition)
        read = self._names.read_key
        return PayloadPage(
            [(read(key), payload) for key, payload in page.payloads], self._after(page.after)
        )

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Like ``page``, without the values."""
        page = await self._page(self._inner.page_keys, keys, limit, partition)
        return KeyPage([*map(self._names.read_key, page.keys)], self._after(page.after))

    async def _page(
        self,
        ask: Callable[[KeyRange, int, str | None], Awaitable[T]],
        keys: KeyRange,
        limit: int,
        partition: str | None,
    ) -> T:
        stored = stored_range(self._names, keys)
        chosen = None if partition is None else self._partition(partition)
        return await self._answer(ask(stored, limit, chosen))

    def _after(self, stored: str | None) -> str | None:
        return None if stored is None else self._names.read_key(stored)

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete what the partition holds."""
        chosen = self._partition(partition)
        return await self._answer(self._inner.clear_partition(chosen, batch))

    # The whole of it

    async def stats(self) -> Stats:
        """Count."""
        stats = await self._inner.stats()
        partitions = {self._read_partition(name): n for name, n in stats.partitions.items()}
        return replace(stats, partitions=partitions)

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Ask the backend."""
        return await self._inner.claim_sweep(interval_ms)

    async def sweep(self, limit: int) -> Sweep:
        """Sweep the backend."""
        return await self._inner.sweep(limit)

    async def describe(self) -> dict[str, Any]:
        """Tell of the backend, and by which key names are hidden."""
        return {**await self._inner.describe(), "names_key": self._names.key_id}
