"""What each kind of call costs in processor time, of the server and of the client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.capacity.filling import store_places

from lionagi_qe.bench.capacity import BATCH
from lionagi_qe.persistence import Item

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.benchmarks.capacity.meters import Meter
    from tests.benchmarks.capacity.ring import Ring

    from lionagi_qe import Memory

_TTL = 1.0
_WATCHED = "aqe/capacity-watched/*"


@dataclass
class Cost:
    """Microseconds of processor time for one entry."""

    server: float
    client: float


class Costs(dict[str, Cost]):
    """Costs by kind of call."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    @asynccontextmanager
    async def of(self, name: str, count: int) -> AsyncGenerator[None]:
        """Note what the body takes, for each of ``count``."""
        server, client = await self._meter.server_us(), self._meter.client_us()
        yield
        client = self._meter.client_us() - client
        server = await self._meter.server_us() - server
        self[name] = Cost(server / count, client / count)


async def measure(memory: Memory, ring: Ring, meter: Meter, count: int = 2_000) -> Costs:
    """Do each kind of call on ``count`` entries of a ring that is stored, and return the costs.

    The ring is whole again afterwards, but for its values.
    """
    costs = Costs(meter)
    # Connections are opened, statements known, and caches as warm as the ring's size lets them be.
    await _warm(memory, ring, count)
    places = ring.places(count, seed=1)
    async with costs.of("store", count):
        for at in places:
            await memory.store(ring.key(at), ring.value(at, 1), partition=ring.partition(at))
    async with costs.of("store_many", count):
        for first in range(0, count, BATCH):
            await store_places(memory, ring, places[first : first + BATCH], 2)
    async with costs.of("retrieve", count):
        for at in places:
            await memory.retrieve(ring.key(at))
    async with costs.of("retrieve_many", count):
        for first in range(0, count, BATCH):
            await memory.retrieve_many([ring.key(at) for at in places[first : first + BATCH]])
    groups = [at // 50 for at in ring.places(max(1, count // 50), seed=2)]
    found = 0
    async with costs.of("search", len(groups) * 50):
        for group in groups:
            found += len(await memory.search(f"{ring.prefix(group)}*"))
    if found != len(groups) * 50:
        raise AssertionError(found)
    await _leaving(memory, ring, costs, count)
    return costs


async def _leaving(memory: Memory, ring: Ring, costs: Costs, count: int) -> None:
    """Measure what tells of changes and what takes entries away, on entries beside the ring's."""
    cursor = await _cursor(memory)
    await _store_beside(memory, ring, count, "watched", None)
    async with costs.of("watch", count):
        await _changes(memory, cursor, count)
    async with costs.of("delete", count):
        for at in range(count):
            await memory.delete(_beside("watched", at))
    await _store_beside(memory, ring, count, "expiring", _TTL)
    while await memory.exists(_beside("expiring", count - 1)):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    async with costs.of("sweep", count):
        swept = await memory.cleanup_expired()
    if swept < count:
        raise AssertionError(swept)
    await _store_beside(memory, ring, count, "cleared", None)
    async with costs.of("clear_partition", count):
        cleared = await memory.clear_partition("cleared")
    if cleared != count:
        raise AssertionError(cleared)


async def _warm(memory: Memory, ring: Ring, count: int) -> None:
    for at in ring.places(count, seed=1):
        await memory.retrieve(ring.key(at))
    for at in ring.places(BATCH, seed=3):
        await memory.store(ring.key(at), ring.value(at), partition=ring.partition(at))
    await store_places(memory, ring, ring.places(BATCH, seed=4))
    await memory.retrieve_many([ring.key(at) for at in ring.places(BATCH, seed=3)])
    await memory.search(f"{ring.prefix(0)}*")


def _beside(kind: str, at: int) -> str:
    return f"aqe/capacity-{kind}/{at:08}/aaaaaaaaaaaaaaaa"


async def _store_beside(
    memory: Memory, ring: Ring, count: int, partition: str, ttl: float | None
) -> None:
    for first in range(0, count, BATCH):
        await memory.store_many(
            {
                _beside(partition, at): Item(ring.value(at), ttl=ttl, partition=partition)
                for at in range(first, first + BATCH)
            }
        )


async def _cursor(memory: Memory) -> str:
    """Return where the memory's changes are at the moment."""
    async with memory.watch(_WATCHED) as watch:
        if watch.cursor is None:
            raise AssertionError
        return watch.cursor


async def _changes(memory: Memory, cursor: str, count: int) -> None:
    """Read what changed since ``cursor``, in pages as long as those of a watcher that is late."""
    seen = 0
    async with memory.watch(_WATCHED, cursor) as watch:
        async for _ in watch:
            seen += 1
            if seen == count:
                return
