"""A backend of which only what lies in a scope is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lionagi_qe.errors import AqeError, RevisionConflictError
from lionagi_qe.persistence.contract.operations import Delete
from lionagi_qe.persistence.contract.records import KeyPage, Page, PayloadPage, Stats
from lionagi_qe.persistence.contract.refused import partly_applied
from lionagi_qe.persistence.values.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend, Capabilities
    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.contract.records import Record, Sweep
    from lionagi_qe.persistence.scopes.scope import Patterns, Scope

# Of keys that are looked at by their names first, where a pattern is more than a prefix.
CANDIDATES = 1_000
# Of entries that are counted; beyond it the figures are no longer exact.
MOST_COUNTED = 100_000
COUNTED_AT_ONCE = 1_000
# What is told of the server.
_TOLD = ("server", "durability", "atomic_batches")


class _Found(NamedTuple):
    """Entries of a range in key order, and behind which key the range goes on."""

    records: list[Record]
    after: str | None


class ScopedBackend:
    """What lies in a scope of a backend: keys are checked, ranges narrowed to what may be read.

    A range that holds nothing of the scope is refused; of one that holds more, the rest is not
    asked for: a server gets ranges of keys in the scope alone, and where a pattern is more than a
    prefix, gives names of keys before values of those that match.

    Args:
        whole: the backend, or the one of the scope that this lies in.
        scope: what is seen.
        clock: asks for the server's time in ms.
    """

    def __init__(self, whole: Backend, scope: Scope, clock: Callable[[], Awaitable[int]]) -> None:
        self._whole = whole
        self._scope = scope
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """The backend's promises."""
        return self._whole.capabilities

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Refuse: the memory opens it."""
        del fleet, migrate
        raise self._scope.refusal("opening the backend")

    async def close(self) -> None:
        """Refuse: the memory closes it."""
        raise self._scope.refusal("closing the backend")

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply the operations if all of them are within the scope."""
        self._scope.check_operations(operations)
        return await self._whole.write(operations, atomic=atomic)

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Return the live values."""
        self._scope.check_reads(keys)
        return await self._whole.read_payloads(keys)

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Return the live entries."""
        self._scope.check_reads(keys)
        return await self._whole.read_records(keys)

    # Ranges

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Return the first entries of the range that may be read."""
        return Page(*await self._find(self._scope.readable, keys, limit, partition))

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Like ``page``, without revisions, partitions and times."""
        for part, whole in self._parts(self._scope.readable, keys)[:1]:
            if whole and part.before == keys.before:
                return await self._whole.page_payloads(part, limit, partition)
        found = await self._find(self._scope.readable, keys, limit, partition)
        return PayloadPage([(record.key, record.payload) for record in found.records], found.after)

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Like ``page``, without the values."""
        found: list[str] = []
        for part, whole in self._parts(self._scope.readable, keys):
            page = await self._whole.page_keys(part, limit - len(found), partition)
            found += page.keys if whole else filter(self._scope.readable.allow, page.keys)
            if page.after is not None or len(found) == limit:
                return KeyPage(found, page.after or found[-1])
        return KeyPage(found, None)

    async def _find(
        self, allowed: Patterns, keys: KeyRange, limit: int, partition: str | None
    ) -> _Found:
        """Read the first allowed entries of a range, a request for each part of it at most."""
        found: list[Record] = []
        for part, whole in self._parts(allowed, keys):
            room = limit - len(found)
            page = (
                await self._whole.page(part, room, partition)
                if whole
                else await self._matching(allowed, part, room, partition)
            )
            found += page.records
            if page.after is not None or len(found) == limit:
                return _Found(found, page.after or found[-1].key)
        return _Found(found, None)

    async def _matching(
        self, allowed: Patterns, keys: KeyRange, limit: int, partition: str | None
    ) -> Page:
        """Look at the names of keys, and read the entries of those that are allowed."""
        candidates = await self._whole.page_keys(keys, max(limit, CANDIDATES), partition)
        matching = [key for key in candidates.keys if allowed.allow(key)]
        chosen = matching[:limit]
        after = chosen[-1] if len(chosen) < len(matching) else candidates.after
        records = await self._whole.read_records(chosen) if chosen else []
        return Page(
            [each for each in records if each is not None and partition in {None, each.partition}],
            after,
        )

    def _parts(self, allowed: Patterns, keys: KeyRange) -> list[tuple[KeyRange, bool]]:
        parts = allowed.within(keys)
        # What is left of a range that was begun may hold nothing more.
        if not parts and not keys.exclusive:
            which = f"keys that start with {keys.first!r}" if keys.first else "any key"
            raise self._scope.refusal(f"reading {which}")
        return parts

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete what the partition holds now of what may be written, and spare what comes."""
        keys: KeyRange | None = KeyRange.of_prefix("")
        if not self._scope.writable.within(keys):
            raise self._scope.refusal(f"clearing partition {partition!r}")
        began, deleted = await self._clock(), 0
        try:
            while keys is not None:
                found = await self._find(self._scope.writable, keys, batch, partition)
                deleted += await self._delete(
                    [record for record in found.records if record.updated_ms <= began]
                )
                keys = None if found.after is None else keys.after(found.after)
        except AqeError as error:
            raise partly_applied(error) if deleted else error from error.__cause__
        return deleted

    async def _delete(self, records: Sequence[Record]) -> int:
        """Delete entries that nobody has changed since; return how many."""
        if not records:
            return 0
        deletes = [Delete(record.key, record.revision) for record in records]
        results = await self._whole.write(deletes, atomic=False)
        deleted = sum(result is True for result in results)
        for result in results:
            if isinstance(result, AqeError) and not isinstance(result, RevisionConflictError):
                raise partly_applied(result) if deleted else result
        return deleted

    # The whole of it

    async def stats(self) -> Stats:
        """Count what may be read, by reading it; expired entries are not seen."""
        partitions: dict[str, int] = {}
        count, size = 0, 0
        keys: KeyRange | None = KeyRange.of_prefix("")
        if not self._scope.readable.within(keys):
            keys = None
        while keys is not None and count < MOST_COUNTED:
            page = await self.page(keys, COUNTED_AT_ONCE, None)
            count += len(page.records)
            for record in page.records:
                partitions[record.partition] = partitions.get(record.partition, 0) + 1
                payload = record.payload
                size += len(payload.encode() if isinstance(payload, str) else payload)
            keys = None if page.after is None else keys.after(page.after)
        return Stats(count, 0, partitions, size, exact=keys is None)

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Refuse: sweeping is the whole fleet's."""
        del interval_ms
        raise self._scope.refusal("sweeping, which is the whole fleet's,")

    async def sweep(self, limit: int) -> Sweep:
        """Refuse: sweeping is the whole fleet's."""
        del limit
        raise self._scope.refusal("sweeping, which is the whole fleet's,")

    async def describe(self) -> dict[str, Any]:
        """Tell of the server what is no secret of the fleet."""
        facts = await self._whole.describe()
        return {name: facts[name] for name in _TOLD if name in facts}
