"""How many learning steps a second a memory takes in batches, with the reads that go with them.

Printed, never asserted: the aim is 50,000 a second on PostgreSQL and Redis. What is asserted is
that every step was counted.
"""

from __future__ import annotations

import asyncio
from random import Random
from time import perf_counter

import pytest

from lionagi_qe import open_memory
from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.learning.qtable import QTable, QUpdate

BATCH = 1_000
CLIENTS = 2
ROUNDS = 5
ROUNDS_AT_FULL_SIZE = 50


@pytest.mark.benchmark
@pytest.mark.parametrize("scans", [False, True], ids=["returned", "scanned"])
async def test_steps_in_batches_with_their_reads(
    bench_url: str, full: bool, scans: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each client has the values that a batch led to returned, or scans all states before it."""
    rounds = ROUNDS_AT_FULL_SIZE if full else ROUNDS
    states = [f"state {number}" for number in range(10)]
    actions = [f"action {number}" for number in range(10)]

    def batches(rng: Random) -> list[list[QUpdate]]:
        return [
            [QUpdate(rng.choice(states), rng.choice(actions), 1.0) for _ in range(BATCH)]
            for _ in range(rounds)
        ]

    async with (
        arena_at(bench_url) as arena,
        open_memory(arena.memory_url, fleet=f"{arena.token}-learn", timeout=60) as memory,
    ):
        table = QTable(memory, "bench")

        async def client(drawn: list[list[QUpdate]]) -> int:
            read = 0
            for batch in drawn:
                if scans:
                    known = await asyncio.gather(*map(table.values, states))
                    read += sum(map(len, known))
                    await table.update_many(batch)
                else:
                    read += len(await table.update_many(batch))
            return read

        drawn = [batches(Random(number)) for number in range(CLIENTS)]
        await client(batches(Random(CLIENTS)))
        begun = perf_counter()
        read = sum(await asyncio.gather(*map(client, drawn)))
        seconds = perf_counter() - begun
        steps = CLIENTS * rounds * BATCH
        kind, how = bench_url.partition(":")[0], "scanned" if scans else "returned"
        with capsys.disabled():
            print(
                f"\n{kind}: {steps / seconds:,.0f} steps/s in batches of {BATCH} over 100 values,"
                f" with {read / seconds:,.0f} values/s {how}"
            )
        counted = await asyncio.gather(*map(table.values, states))
    visits = sum(value.visits for each in counted for value in each.values())
    assert visits == steps + rounds * BATCH
