"""Stores a ring by the library's own batches; goes on where it was broken off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lionagi_qe.persistence import Item

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.capacity.ring import Ring

    from lionagi_qe import Memory

_DONE = "aqe/capacity-filled"
_GROUPS = 20
_TOLD_SECONDS = 30.0


async def fill(
    memory: Memory, ring: Ring, *, until: int | None = None, tell: Callable[[str], object] = str
) -> None:
    """Store the ring's entries, or the first ``until`` of them; how far it came is an entry too."""
    done = int(await memory.retrieve(_DONE) or 0)
    told = time.monotonic()
    for number, places in enumerate(ring.batches(done, _GROUPS), done + 1):
        if until is not None and number * _GROUPS * 50 > until:
            break
        await store_places(memory, ring, places)
        if number % 100 == 0:
            await memory.store(_DONE, number)
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            tell(f"{number * len(places):,} of {ring.entries:,}")
        done = number
    await memory.store(_DONE, done)


async def store_places(
    memory: Memory,
    ring: Ring,
    places: list[int],
    version: int = 0,
    *,
    ttl: float | None = None,
) -> None:
    """Store one batch."""
    await memory.store_many(
        {
            ring.key(at): Item(ring.value(at, version), ttl=ttl, partition=ring.partition(at))
            for at in places
        }
    )
