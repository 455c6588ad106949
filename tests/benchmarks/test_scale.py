"""Cost follows what is asked for, not what is stored."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest_asyncio

from lionagi_qe import Memory, open_memory
from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.bench.workload import VALUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FEW = 1_000
MANY = 100_000
MANY_AT_FULL_SIZE = 1_000_000
MATCHING = 50
BATCH = 5_000
TIMES = 20
TRIES = 2
MOST_SLOWDOWN = 2.0
MOST_SCAN_BYTES = 100 * 1024 * 1024


@dataclass
class Pair:
    """Two fleets on one server, with few and with many entries besides those looked for."""

    few: Memory
    many: Memory
    count: int


@pytest_asyncio.fixture(scope="module")
async def pair(bench_url: str, full: bool) -> AsyncIterator[Pair]:
    count = MANY_AT_FULL_SIZE if full else MANY
    async with (
        arena_at(bench_url) as arena,
        open_memory(arena.memory_url, fleet=f"{arena.token}-few") as few,
        open_memory(arena.memory_url, fleet=f"{arena.token}-many") as many,
    ):
        await fill(few, FEW)
        await fill(many, count)
        yield Pair(few, many, count)


async def fill(memory: Memory, others: int) -> None:
    """Store the entries looked for, and others before and after them in key order."""
    await memory.store_many({f"aqe/m/{at:02}": VALUE for at in range(MATCHING)})
    for first in range(0, others, BATCH):
        batch: dict[str, Any] = {
            f"aqe/{'az'[at % 2]}/{at:07}": VALUE for at in range(first, min(first + BATCH, others))
        }
        await memory.store_many(batch, timeout=120)


async def test_a_search_costs_what_it_matches(pair: Pair) -> None:
    async def search(memory: Memory) -> None:
        assert len(await memory.search("aqe/m/*")) == MATCHING

    assert await slowdown(pair, f"search of {MATCHING}", search) <= MOST_SLOWDOWN


async def test_the_first_page_of_a_scan_costs_what_it_holds(pair: Pair) -> None:
    async def begin(memory: Memory) -> None:
        async with aclosing(memory.scan("aqe/")) as entries:
            await anext(entries)

    assert await slowdown(pair, "first page of a scan", begin) <= MOST_SLOWDOWN


async def slowdown(pair: Pair, what: str, work: Callable[[Memory], Awaitable[None]]) -> float:
    """Return how many times longer ``work`` takes among many others; the better of two tries."""
    ratios: list[float] = []
    while not ratios or (ratios[-1] > MOST_SLOWDOWN and len(ratios) < TRIES):
        few, many = await time_both(pair, work)
        ratios.append(many / few)
        print(
            f"\n{pair.few.capabilities.name}: {what} among {FEW:,} others {few * 1000:.2f} ms, "
            f"among {pair.count:,} {many * 1000:.2f} ms: {ratios[-1]:.2f}x"
        )
    return min(ratios)


async def time_both(pair: Pair, work: Callable[[Memory], Awaitable[None]]) -> tuple[float, float]:
    """Return the medians of the work's seconds in both fleets, done in turn."""
    times: dict[str, list[float]] = {"few": [], "many": []}
    for _ in range(TIMES):
        for name, memory in (("few", pair.few), ("many", pair.many)):
            began = perf_counter()
            await work(memory)
            times[name].append(perf_counter() - began)
    return median(times["few"]), median(times["many"])


async def test_a_scan_needs_little_memory_at_any_size(pair: Pair) -> None:
    process = psutil.Process()
    start = most = process.memory_info().rss
    seen = 0
    async for _ in pair.many.scan("aqe/"):
        seen += 1
        if not seen % 1_000:
            most = max(most, process.memory_info().rss)
    print(
        f"\n{pair.many.capabilities.name}: scan of {seen:,} entries took "
        f"{(most - start) / 2**20:.1f} MiB above the start"
    )
    assert seen == pair.count + MATCHING
    assert most - start < MOST_SCAN_BYTES
