"""What a queue's job does beside being claimed costs no multiple of that."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.coordination import NewJob, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

JOBS = 60
LONG = 600.0
# A plan that PostgreSQL had compiled made a claim under a limit 300 times as long.
MOST = 5.0


async def plain(queue: WorkQueue) -> None:
    await queue.put_many(list(range(JOBS)))


async def limited(queue: WorkQueue) -> None:
    await queue.limit(concurrency=JOBS, rate=JOBS * 10)
    await plain(queue)


async def chained(queue: WorkQueue) -> None:
    await queue.chain(list(range(JOBS)))


async def batched(queue: WorkQueue) -> None:
    await queue.batch(list(range(JOBS)), then=NewJob("at last"))


async def unique(queue: WorkQueue) -> None:
    for number in range(JOBS):
        await queue.put(number, dedupe=f"{number}")


@pytest.mark.parametrize("fill", [limited, chained, batched, unique])
async def test_claim_and_acknowledgement_cost_what_those_of_a_plain_job_do(
    bench_url: str, fill: Callable[[WorkQueue], Awaitable[None]]
) -> None:
    async with (
        arena_at(bench_url) as arena,
        open_memory(arena.memory_url, fleet=arena.token) as memory,
    ):
        queues = WorkQueue(memory, "plain"), WorkQueue(memory, fill.__name__)
        await plain(queues[0])
        await fill(queues[1])
        found: tuple[list[float], list[float]] = ([], [])
        # By turns: what else the machine does slows both.
        for _ in range(JOBS):
            for queue, taken in zip(queues, found, strict=True):
                taken.append(await _milliseconds(queue))
    usual, took = map(median, found)
    print(f"{fill.__name__}: {took:.2f} ms a job, plain {usual:.2f} ms: {took / usual:.1f} times")
    assert took <= MOST * usual


async def _milliseconds(queue: WorkQueue) -> float:
    """Claim a job and acknowledge it; return how long that took."""
    began = perf_counter()
    (job,) = await queue.claim(1, LONG)
    await job.ack()
    return (perf_counter() - began) * 1000
