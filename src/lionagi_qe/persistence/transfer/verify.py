"""Whether two memories hold the same: by a digest of each, or entry by entry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import canonical
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.memory import Memory
    from lionagi_qe.persistence.values.keys import KeyRange

TTL_TOLERANCE_MS = 1_000
MAX_SHOWN = 20
_PAGE = 1_000
_DIGEST_BYTES = 16

Fault = Literal["missing", "extra", "value", "partition", "ttl"]


class Digest:
    """A checksum of entries in any order: key, partition and value of each, not its expiry.

    The sum of their BLAKE2b hashes modulo 2**128. It finds accidents, not forgeries.
    """

    def __init__(self) -> None:
        self.entries = 0
        self._sum = 0

    def add(self, key: str, partition: str, payload: bytes | str) -> None:
        """Count an entry in; values that are equal count alike, however they were encoded."""
        hashed = blake2b(digest_size=_DIGEST_BYTES)
        # Neither names nor JSON hold a control character: the parts can't run into each other.
        hashed.update(f"{key}\n{partition}\n".encode())
        hashed.update(canonical(payload))
        self._sum += int.from_bytes(hashed.digest())
        self.entries += 1

    def __str__(self) -> str:
        return f"{self._sum % 2 ** (8 * _DIGEST_BYTES):0{2 * _DIGEST_BYTES}x}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What is wrong with one key of the target."""

    key: str
    fault: Fault


@dataclass
class Comparison:
    """What ``compare`` found.

    Attributes:
        source, target: digests of what each holds.
        faults: how many keys have each fault.
        first: the first differences, in key order.
    """

    source: Digest = field(default_factory=Digest)
    target: Digest = field(default_factory=Digest)
    faults: dict[Fault, int] = field(default_factory=dict[Fault, int])
    first: list[Difference] = field(default_factory=list[Difference])

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return not self.faults

    def note(self, key: str, fault: Fault) -> None:
        """Count a difference."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if len(self.first) < MAX_SHOWN:
            self.first.append(Difference(key, fault))


async def compare(
    source: Memory,
    target: Memory,
    *,
    pattern: str = "*",
    partition: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare the live entries that match, streaming both in key order.

    Where names of one are hidden, which have an order of their own, each page of one is looked
    up in the other instead, and entries are read twice.

    Equal means: the same keys, equal values, partitions, and times to live that differ by at most
    a second (by each server's own clock). Memories that are being written to may differ by what
    happens meanwhile. Constant memory; ``progress`` gets the number of entries passed.
    """
    if not (source.capabilities.ordered and target.capabilities.ordered):
        return await _compare_by_keys(source, target, pattern, partition, progress)
    found = Comparison()
    clocks = ServerClock(parts_of(source).bulk.clock), ServerClock(parts_of(target).bulk.clock)
    ours, theirs = _records(source, pattern, partition), _records(target, pattern, partition)
    left, right = await asyncio.gather(anext(ours, None), anext(theirs, None))
    passed = 0
    while left is not None or right is not None:
        if right is None or (left is not None and left.key < right.key):
            assert left is not None  # noqa: S101 - for the type checker
            if not await _about_to_expire(left, clocks[0]):
                found.note(left.key, "missing")
            _count(found.source, left)
            left = await anext(ours, None)
        elif left is None or right.key < left.key:
            if not await _about_to_expire(right, clocks[1]):
                found.note(right.key, "extra")
            _count(found.target, right)
            right = await anext(theirs, None)
        else:
            await _compare_entries(found, left, right, clocks)
            left, right = await anext(ours, None), await anext(theirs, None)
        passed += 1
        if progress is not None and passed % _PAGE == 0:
            progress(passed)
    return found


async def _compare_by_keys(
    source: Memory,
    target: Memory,
    pattern: str,
    partition: str | None,
    progress: Callable[[int], None] | None,
) -> Comparison:
    found = Comparison()
    clocks = ServerClock(parts_of(source).bulk.clock), ServerClock(parts_of(target).bulk.clock)
    passed = 0
    async for page in _pages(source, pattern, partition):
        theirs = await _those(target, [each.key for each in page], partition)
        for ours, there in zip(page, theirs, strict=True):
            _count(found.source, ours)
            if there is not None:
                await _note_difference(found, ours, there, clocks)
            elif not await _about_to_expire(ours, clocks[0]):
                found.note(ours.key, "missing")
        passed += len(page)
        if progress is not None:
            progress(passed)
    async for page in _pages(target, pattern, partition):
        ours_there = await _those(source, [each.key for each in page], partition)
        for theirs_, ours_ in zip(page, ours_there, strict=True):
            _count(found.target, theirs_)
            if ours_ is None and not await _about_to_expire(theirs_, clocks[1]):
                found.note(theirs_.key, "extra")
    return found


async def _those(memory: Memory, keys: list[str], partition: str | None) -> list[Record | None]:
    """Return the entries of these keys that are of the partition."""
    found = await parts_of(memory).bulk.find(keys)
    return [
        each if each is not None and partition in {None, each.partition} else None for each in found
    ]


async def digest(memory: Memory, *, pattern: str = "*", partition: str | None = None) -> Digest:
    """Return the digest of the live entries that match; constant memory."""
    total = Digest()
    async for record in _records(memory, pattern, partition):
        _count(total, record)
    return total


async def _records(memory: Memory, pattern: str, partition: str | None) -> AsyncGenerator[Record]:
    async for page in _pages(memory, pattern, partition):
        for record in page:
            yield record


async def _pages(
    memory: Memory, pattern: str, partition: str | None
) -> AsyncGenerator[list[Record]]:
    glob = compile_glob(pattern)
    if partition is not None:
        naming.check_partition(partition)
    keys: KeyRange | None = glob.keys
    while keys is not None:
        page = await parts_of(memory).bulk.page(keys, _PAGE, partition)
        yield [record for record in page.records if glob.matches(record.key)]
        keys = None if page.after is None else keys.after(page.after)


async def _compare_entries(
    found: Comparison, ours: Record, theirs: Record, clocks: tuple[ServerClock, ServerClock]
) -> None:
    _count(found.source, ours)
    _count(found.target, theirs)
    await _note_difference(found, ours, theirs, clocks)


async def _note_difference(
    found: Comparison, ours: Record, theirs: Record, clocks: tuple[ServerClock, ServerClock]
) -> None:
    if _bytes(ours) != _bytes(theirs) and canonical(ours.payload) != canonical(theirs.payload):
        found.note(ours.key, "value")
    elif ours.partition != theirs.partition:
        found.note(ours.key, "partition")
    elif (ours.expires_ms is None) != (theirs.expires_ms is None):
        found.note(ours.key, "ttl")
    elif ours.expires_ms is not None and theirs.expires_ms is not None:
        left = ours.expires_ms - await clocks[0].now()
        right = theirs.expires_ms - await clocks[1].now()
        if abs(left - right) > TTL_TOLERANCE_MS:
            found.note(ours.key, "ttl")


async def _about_to_expire(record: Record, clock: ServerClock) -> bool:
    """Whether the other side may rightly have lost it already."""
    return record.expires_ms is not None and record.expires_ms - await clock.now() < (
        TTL_TOLERANCE_MS
    )


def _count(total: Digest, record: Record) -> None:
    total.add(record.key, record.partition, record.payload)


def _bytes(record: Record) -> bytes:
    return record.payload.encode() if isinstance(record.payload, str) else record.payload
