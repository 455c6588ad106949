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
from lionagi_qe.bench.arena import arena_at
from lionagi_qe.learning.qtable import QTable, QUpdate

BATCH = 1_000
CLIENTS = 2
ROUNDS = 5
ROUNDS_AT_FULL_SIZE = 50


@pytest.mark.benchmark
@pytest.mark.parametrize(("states", "actions"), [(10, 10), (50, 20)])
async def test_steps_in_batches_with_their_reads(
    bench_url: str, full: bool, states: int, actions: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each client reads the values of all states, updates a batch drawn from them, and again."""
    rounds = ROUNDS_AT_FULL_SIZE if full else ROUNDS
    names = [f"state {number}" for number in range(states)]
    moves = [f"action {number}" for number in range(actions)]

    async with (
        arena_at(bench_url) as arena,
        open_memory(arena.memory_url, fleet=f"{arena.token}-learn", timeout=60) as memory,
    ):
        table = QTable(memory, "bench")

        async def client(number: int) -> int:
            rng, read = Random(number), 0
            for _ in range(rounds):
                known = await asyncio.gather(*map(table.values, names))
                read += sum(map(len, known))
                await table.update_many(
                    [QUpdate(rng.choice(names), rng.choice(moves), 1.0) for _ in range(BATCH)]
                )
            return read

        await client(CLIENTS)
        begun = perf_counter()
        read = sum(await asyncio.gather(*map(client, range(CLIENTS))))
        seconds = perf_counter() - begun
        steps = CLIENTS * rounds * BATCH
        kind = bench_url.partition(":")[0]
        with capsys.disabled():
            print(
                f"\n{kind}: {steps / seconds:,.0f} steps/s in batches of {BATCH} over"
                f" {states * actions} values, with {read / seconds:,.0f} values read/s"
            )
        counted = await asyncio.gather(*map(table.values, names))
    visits = sum(value.visits for each in counted for value in each.values())
    assert visits == steps + rounds * BATCH
