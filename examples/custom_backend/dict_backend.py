"""A memory backend of one's own: entries in a dict, shared by the handles of one process.

It shows all that a backend must do. Keys, values, time limits and batching of calls are done
before it is called. Run ``pytest examples/custom_backend`` to see it pass the conformance suite.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe import InvalidValueError, Memory, RevisionConflictError
from lionagi_qe.persistence.contract import (
    Add,
    Capabilities,
    Delete,
    KeyPage,
    Page,
    PayloadPage,
    Put,
    Record,
    Stats,
    Sweep,
    Touch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lionagi_qe.persistence.contract import KeyRange, Operation, Result

LEAST, MOST = -(2**63), 2**63 - 1


def now() -> int:
    """Return the time in milliseconds: this process is the server here, so its clock counts."""
    return time.time_ns() // 1_000_000


@dataclass
class Fleet:
    """The entries of one fleet, their keys in order, and its revision counter."""

    entries: dict[str, Record] = field(default_factory=dict[str, Record])
    keys: list[str] = field(default_factory=list[str])
    revision: int = 0
    swept_ms: int = 0

    def find(self, key: str) -> Record | None:
        """Return a live entry."""
        entry = self.entries.get(key)
        return None if entry is None or _has_expired(entry) else entry

    def keep(self, entry: Record) -> None:
        """Put an entry in, or in another's place."""
        if entry.key not in self.entries:
            insort(self.keys, entry.key)
        self.entries[entry.key] = entry

    def drop(self, key: str) -> None:
        """Take an entry out."""
        del self.entries[key]
        del self.keys[bisect_left(self.keys, key)]

    def live(self, keys: KeyRange) -> Iterator[Record]:
        """Yield the live entries of a range in order."""
        start = (bisect_right if keys.exclusive else bisect_left)(self.keys, keys.first)
        for key in self.keys[start : bisect_left(self.keys, keys.before)]:
            if (entry := self.find(key)) is not None:
                yield entry


def _has_expired(entry: Record) -> bool:
    return entry.expires_ms is not None and entry.expires_ms <= now()


class DictBackend:
    """The backend contract over plain dicts.

    Args:
        fleets: the store; give the same one to every handle that shall share it.
    """

    def __init__(self, fleets: dict[str, Fleet]) -> None:
        self._fleets = fleets
        self._fleet = Fleet()

    @property
    def capabilities(self) -> Capabilities:
        """What is promised."""
        return Capabilities("dict", durability="none: the memory ends with the process")

    async def open(self, fleet: str, *, migrate: bool) -> None:  # noqa: ARG002 - no schema here
        """Enter the fleet."""
        self._fleet = self._fleets.setdefault(fleet, Fleet())

    async def close(self) -> None:
        """Nothing to release."""

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply the operations; nothing else runs meanwhile, since nothing here is awaited."""
        before = dict(self._fleet.entries) if atomic else {}
        results: list[Result] = []
        for operation in operations:
            try:
                results.append(self._apply(operation))
            except (RevisionConflictError, InvalidValueError) as error:
                if atomic:
                    self._fleet.entries, self._fleet.keys = before, sorted(before)
                    raise
                results.append(error)
        return results

    def _apply(self, operation: Operation) -> Result:
        entry = self._fleet.find(operation.key)
        match operation:
            case Put():
                _expect(operation, entry)
                return self._put(operation, entry)
            case Delete():
                _expect(operation, entry)
                if entry is not None:
                    self._fleet.drop(operation.key)
                return entry is not None
            case Add():
                total = _add(operation, entry)
                self._put(Put(operation.key, json.dumps(total).encode(), keep=True), entry)
                return total
            case Touch():
                if entry is not None:
                    self._fleet.keep(entry._replace(expires_ms=_expiry(operation.ttl_ms)))
                return entry is not None

    def _put(self, put: Put, entry: Record | None) -> int:
        self._fleet.revision += 1
        kept = entry if put.keep else None
        self._fleet.keep(
            Record(
                put.key,
                put.payload,
                self._fleet.revision,
                kept.partition if kept else put.partition,
                entry.created_ms if entry else now(),
                now(),
                kept.expires_ms if kept else _expiry(put.ttl_ms),
            )
        )
        return self._fleet.revision

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Look each key up."""
        return [entry and entry.payload for entry in map(self._fleet.find, keys)]

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Look each key up."""
        return [self._fleet.find(key) for key in keys]

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Collect entries of a range until the limit."""
        found: list[Record] = []
        for entry in self._fleet.live(keys):
            if partition in {None, entry.partition}:
                found.append(entry)
                if len(found) == limit:
                    return Page(found, entry.key)
        return Page(found, None)

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Collect keys and values of a range until the limit."""
        page = await self.page(keys, limit, partition)
        return PayloadPage([(entry.key, entry.payload) for entry in page.records], page.after)

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Collect keys of a range until the limit."""
        page = await self.page(keys, limit, partition)
        return KeyPage([entry.key for entry in page.records], page.after)

    async def clear_partition(self, partition: str, batch: int) -> int:  # noqa: ARG002 - one step
        """Drop all that the partition holds."""
        held = [entry for entry in self._fleet.entries.values() if entry.partition == partition]
        live = sum(not _has_expired(entry) for entry in held)
        for entry in held:
            self._fleet.drop(entry.key)
        return live

    async def stats(self) -> Stats:
        """Count all."""
        live = [entry for entry in self._fleet.entries.values() if not _has_expired(entry)]
        partitions: dict[str, int] = {}
        for entry in live:
            partitions[entry.partition] = partitions.get(entry.partition, 0) + 1
        size = sum(len(entry.payload) for entry in live)
        expired = len(self._fleet.entries) - len(live)
        return Stats(len(live), expired, partitions, size, exact=True)

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whoever comes first in an interval sweeps."""
        if now() - self._fleet.swept_ms < interval_ms:
            return False
        self._fleet.swept_ms = now()
        return True

    async def sweep(self, limit: int) -> Sweep:
        """Drop expired entries."""
        due = [entry.key for entry in self._fleet.entries.values() if _has_expired(entry)][:limit]
        for key in due:
            self._fleet.drop(key)
        return Sweep(len(due), more=len(due) == limit)

    async def describe(self) -> dict[str, Any]:
        """Tell what this is."""
        return {"server": "a dict", "schema_version": 1, "durability": self.capabilities.durability}


def dict_memory(fleets: dict[str, Fleet], **settings: Any) -> Memory:  # noqa: ANN401 - Memory's
    """Return a memory on the dict."""
    return Memory(DictBackend(fleets), **settings)


def _expiry(ttl_ms: int | None) -> int | None:
    return None if ttl_ms is None else now() + ttl_ms


def _expect(operation: Put | Delete, entry: Record | None) -> None:
    expected, found = operation.if_revision, None if entry is None else entry.revision
    creates = isinstance(operation, Put) and expected == 0 and found is None
    if expected is not None and expected != found and not creates:
        raise RevisionConflictError(operation.key, expected, found)


def _add(add: Add, entry: Record | None) -> int | float:
    value = 0 if entry is None else json.loads(entry.payload)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{add.key!r}: holds {type(value).__name__}, not a number"
        raise InvalidValueError(msg)
    total = value + add.amount
    fits = LEAST <= total <= MOST and value <= MOST if isinstance(total, int) else _is_finite(total)
    if not fits:
        msg = f"{add.key!r}: the sum does not fit 64 bits"
        raise InvalidValueError(msg)
    return total


def _is_finite(number: float) -> bool:
    return number - number == 0
