"""A backend that is given sealed values alone, and whose values are opened behind it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import (
    AqeError,
    BackendUnavailableError,
    ConfigurationError,
    DecryptionError,
    RevisionConflictError,
)
from lionagi_qe.persistence.contract.jobs import TransactionOperations, TransactionResults
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.contract.records import Page, PayloadPage, Record
from lionagi_qe.persistence.contract.refused import PartlyRefused, partly_applied
from lionagi_qe.persistence.encryption.computed import compute, is_computed
from lionagi_qe.persistence.encryption.coordination import EncryptedJobs, EncryptedLeases
from lionagi_qe.persistence.encryption.coordination_resealing import CoordinationResealer
from lionagi_qe.persistence.encryption.keys import place_of
from lionagi_qe.persistence.encryption.log import EncryptedLog
from lionagi_qe.persistence.encryption.resealing import reseal
from lionagi_qe.persistence.encryption.schedules import EncryptedSchedules
from lionagi_qe.persistence.hidden_names.names import HIDDEN_PREFIX, KEY_BYTES, Names, names_of
from lionagi_qe.persistence.values.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.backend import Backend, Capabilities
    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.contract.records import KeyPage, Stats, Sweep
    from lionagi_qe.persistence.encryption.computed import Computed
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.encryption.resealing import Resealed

# A sum that others were quicker at so often is left to the scheduler, which pauses.
_TRIES = 20
_LONGEST_PAUSE = 0.02


class EncryptedBackend:
    """Seals what is stored, and opens what is read; keys, partitions and times stay in clear.

    What a server would compute on values is computed here, and stored by compare-and-set.

    Args:
        inner: stores what is sealed.
        keys: seal and open.
        fleet: what is sealed is bound to it.
    """

    def __init__(self, inner: Backend, keys: KeyRing, fleet: str) -> None:
        self._inner = inner
        self._keys = keys
        self._fleet = fleet
        # Made once, since every entry needs it.
        self._entries = place_of(fleet, "entry", "").decode()
        for part in ("leases", "jobs", "schedules", "limits", "log"):
            if getattr(inner, part, None) is not None:
                setattr(self, part, self._sealed_part(part))

    @property
    def inner(self) -> Backend:
        """The backend that stores what is sealed."""
        return self._inner

    def _sealed_part(self, part: str) -> object:
        whole = getattr(self._inner, part)
        if part == "log":
            return EncryptedLog(whole, self.open_record)
        if part == "leases":
            return EncryptedLeases(whole, self._keys, self._fleet)
        if part == "limits":
            # Numbers alone.
            return whole
        if part == "schedules":
            return EncryptedSchedules(whole, self._keys, self._fleet)
        return EncryptedJobs(whole, self._keys, self._fleet, self.transact)

    @property
    def where(self) -> str:
        """The backend's place, for people."""
        return getattr(self._inner, "where", "")

    @property
    def capabilities(self) -> Capabilities:
        """The backend's promises."""
        return replace(self._inner.capabilities, encrypted=True)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Open the backend; ConfigurationError if names are hidden there, and are not to be."""
        await self._inner.open(fleet, migrate=migrate)
        if not self._inner.capabilities.ordered:
            return
        try:
            page = await self._inner.page_keys(KeyRange.of_prefix(HIDDEN_PREFIX), 1, None)
            self._refuse_hidden(page.keys)
        except BaseException:
            await self._inner.close()
            raise

    def _refuse_hidden(self, keys: Sequence[str]) -> None:
        for key_id in self._keys.ids if keys else ():
            names = Names(self._keys.derive(key_id, names_of(self._fleet), KEY_BYTES), key_id)
            with contextlib.suppress(DecryptionError):
                names.read_key(keys[0])
                msg = (
                    f"fleet {self._fleet!r}: its names are hidden by the key {key_id!r}; open it "
                    f"with hide_names={key_id!r}, or ?hide_names={key_id} in its URL"
                )
                raise ConfigurationError(msg)

    async def close(self) -> None:
        """Close the backend."""
        await self._inner.close()

    # Sealing and opening

    def _seal(self, operations: Sequence[Operation]) -> list[Operation]:
        puts = [operation for operation in operations if type(operation) is Put]
        sealed = iter(
            self._keys.seal_all(
                [(self._entries + put.key).encode() for put in puts],
                [put.payload for put in puts],
            )
        )
        return [
            # By its places: _replace takes longer than all else that is made here.
            Put(each.key, next(sealed), *each[2:]) if type(each) is Put else each
            for each in operations
        ]

    def _open(self, key: str, payload: bytes | str) -> bytes:
        return self._keys.open((self._entries + key).encode(), payload)

    def open_record(self, record: Record) -> Record:
        """Return an entry as it was stored."""
        return record._replace(payload=self._open(record.key, record.payload))

    def _open_records(self, records: Sequence[Record | None]) -> list[Record | None]:
        return [None if record is None else self.open_record(record) for record in records]

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Store what is sealed."""
        if not any(map(is_computed, operations)):
            return await self._inner.write(self._seal(operations), atomic=atomic)
        if atomic and self.capabilities.atomic_batches == "all":
            step = TransactionOperations(operations, [])
            return (await self._apply_atomically(step)).operations
        results = await self._write_in_runs(operations)
        for result in results if atomic else ():
            if isinstance(result, AqeError):
                # Only on a cluster, where a batch is several steps in any case.
                applied = any(not isinstance(each, AqeError) for each in results)
                raise partly_applied(result) if applied else result
        return results

    async def _write_in_runs(self, operations: Sequence[Operation]) -> list[Result]:
        """Write runs of operations one after the other, in their order."""
        results: list[Result] = PartlyRefused()
        for computed, run in groupby(operations, is_computed):
            for part in _distinct(list(run)) if computed else [list(run)]:
                try:
                    results += (
                        await self._compute(cast("list[Computed]", part))
                        if computed
                        else await self._inner.write(self._seal(part), atomic=False)
                    )
                except AqeError as error:
                    # What came before was applied, and must not be sent again with the rest.
                    results += [error] * len(part)
        return results

    async def _compute(self, operations: Sequence[Computed]) -> list[Result]:
        """Apply operations on distinct keys, each by compare-and-set."""
        results: list[Result] = [_too_often(operation.key) for operation in operations]
        left = list(range(len(operations)))
        for attempt in range(_TRIES):
            try:
                left = await self._compute_once(operations, left, results)
            except AqeError as error:
                for at in left:
                    results[at] = error
                break
            if not left:
                break
            await _pause(attempt)
        return results

    async def _compute_once(
        self, operations: Sequence[Computed], left: list[int], results: list[Result]
    ) -> list[int]:
        """Try those that are left; return those that others were quicker at."""
        records = await self._inner.read_records([operations[at].key for at in left])
        puts: list[Operation] = []
        tried: list[tuple[int, Result]] = []
        for at, sealed in zip(left, records, strict=True):
            try:
                record = None if sealed is None else self.open_record(sealed)
                put, result = compute(operations[at], record)
            except AqeError as error:
                results[at] = error
            else:
                puts.append(put)
                tried.append((at, result))
        left[:] = [at for at, _ in tried]
        written = await self._inner.write(self._seal(puts), atomic=False) if puts else []
        late: list[int] = []
        for (at, result), answer in zip(tried, written, strict=True):
            if isinstance(answer, RevisionConflictError):
                late.append(at)
            else:
                results[at] = answer if isinstance(answer, AqeError) else result
        return late

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply a transaction whose jobs are sealed."""
        return await self._apply_atomically(step)

    async def _apply_atomically(self, step: TransactionOperations) -> TransactionResults:
        computed = [operation for operation in step.operations if is_computed(operation)]
        keys = [operation.key for operation in computed]
        for attempt in range(_TRIES):
            records = self._open_records(await self._inner.read_records(keys) if keys else [])
            made = {
                operation.key: compute(cast("Computed", operation), record)
                for operation, record in zip(computed, records, strict=True)
            }
            operations = self._seal(
                [made[each.key][0] if each.key in made else each for each in step.operations]
            )
            try:
                found = await self._send(TransactionOperations(operations, step.jobs))
            except RevisionConflictError as error:
                if error.key not in made:
                    raise
                await _pause(attempt)
            else:
                results = [
                    made[each.key][1] if each.key in made else result
                    for each, result in zip(step.operations, found.operations, strict=True)
                ]
                return TransactionResults(results, found.jobs)
        raise _too_often(keys[0])

    async def _send(self, step: TransactionOperations) -> TransactionResults:
        if step.jobs or getattr(self._inner, "jobs", None) is not None:
            return await cast("Any", self._inner).jobs.transact(step)
        return TransactionResults(await self._inner.write(step.operations, atomic=True), [])

    async def reseal(self, keys: KeyRange, limit: int) -> Resealed:
        """Seal the first entries of a range by the newest key, unless they are."""
        return await reseal(self._inner, self._keys, self._fleet, keys, limit)

    @property
    def coordination_resealer(self) -> CoordinationResealer:
        """What seals queues, schedules and leases anew."""
        return CoordinationResealer(self._inner, self._keys, self._fleet)

    # Reading

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Return the live values, opened."""
        found = await self._inner.read_payloads(keys)
        opened, entries = self._keys.open, self._entries
        return [
            None if payload is None else opened((entries + key).encode(), payload)
            for key, payload in zip(keys, found, strict=True)
        ]

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Return the live entries, opened."""
        return self._open_records(await self._inner.read_records(keys))

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Return the first entries of a range, opened."""
        page = await self._inner.page(keys, limit, partition)
        return Page([*map(self.open_record, page.records)], page.after)

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Return the first values of a range, opened."""
        page = await self._inner.page_payloads(keys, limit, partition)
        return PayloadPage(
            [(key, self._open(key, payload)) for key, payload in page.payloads], page.after
        )

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Return the first keys of a range."""
        return await self._inner.page_keys(keys, limit, partition)

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete what the partition holds."""
        return await self._inner.clear_partition(partition, batch)

    async def stats(self) -> Stats:
        """Count; sizes are those of what is sealed."""
        return await self._inner.stats()

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Ask the backend."""
        return await self._inner.claim_sweep(interval_ms)

    async def sweep(self, limit: int) -> Sweep:
        """Sweep the backend."""
        return await self._inner.sweep(limit)

    async def describe(self) -> dict[str, Any]:
        """Tell of the backend, and by which keys values are sealed."""
        return {**await self._inner.describe(), "keys": self._keys.ids}


def _distinct(operations: list[Operation]) -> list[list[Operation]]:
    """Divide operations so that no part has a key twice, in their order."""
    parts: list[list[Operation]] = []
    seen: set[str] = set()
    for operation in operations:
        if not parts or operation.key in seen:
            parts.append([])
            seen = set()
        parts[-1].append(operation)
        seen.add(operation.key)
    return parts


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, min(0.001 * 2**attempt, _LONGEST_PAUSE)))  # noqa: S311


def _too_often(key: str) -> BackendUnavailableError:
    msg = f"{key!r}: is changed too often by others; nothing was changed; try again"
    return BackendUnavailableError(msg)
