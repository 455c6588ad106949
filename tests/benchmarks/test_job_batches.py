"""A batch of 10,000 jobs beside as many without one."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.backends import SHARED, on, url_of

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

pytestmark = [pytest.mark.benchmark, pytest.mark.integration]

WARM_UP, SIZE = 100, 10_000
AT_ONCE = 200
# What is done with jobs of a batch, to the same without one. Looking at all of a batch for each of
# its jobs would make it hundreds.
MOST = 4.0


@pytest.fixture(params=on(*SHARED))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


async def _drain(queue: WorkQueue, count: int) -> float:
    """Claim and end so many jobs; return the seconds that it took."""
    began = time.perf_counter()
    ended = 0
    while ended < count:
        jobs = await queue.claim(AT_ONCE, 600)
        await asyncio.gather(*(job.ack({"of": job.id}) for job in jobs))
        ended += len(jobs)
    return time.perf_counter() - began


async def _batch_of(memory: Memory, size: int) -> dict[str, float]:
    """Return the seconds of what is done with a batch of so many jobs."""
    queue = WorkQueue(memory, f"batches-{size}")
    spent: dict[str, float] = {}
    began = time.perf_counter()
    batch = await queue.batch(range(size), then="call", timeout=60)
    spent["put"] = time.perf_counter() - began
    spent["claim and ack"] = await _drain(queue, size)
    (call,) = await queue.claim(5, 600)
    assert call.id == batch.id
    began = time.perf_counter()
    assert len([each async for each in batch.results()]) == size
    spent["read results"] = time.perf_counter() - began
    began = time.perf_counter()
    assert (await batch.progress()).done == size
    spent["progress"] = time.perf_counter() - began
    began = time.perf_counter()
    await call.ack()
    spent["ack of the callback"] = time.perf_counter() - began
    batch = await queue.batch(range(size), then="call", timeout=60)
    began = time.perf_counter()
    assert (await batch.cancel(timeout=60)).cancelled == size
    spent["cancel"] = time.perf_counter() - began
    # The same jobs without a batch, to compare with.
    began = time.perf_counter()
    await queue.put_many(range(size), timeout=60)
    spent["put of none"] = time.perf_counter() - began
    spent["claim and ack of none"] = await _drain(queue, size)
    return spent


async def test_jobs_of_a_large_batch_cost_little_more_than_others(url: str) -> None:
    async with open_memory(url, fleet=f"batches-{uuid.uuid4().hex[:12]}") as memory:
        await _batch_of(memory, WARM_UP)
        spent = await _batch_of(memory, SIZE)
    print()
    for what, seconds in spent.items():
        print(f"{what:<24} {seconds:9.4f} s of {SIZE:,}")
    for what in ("put", "claim and ack"):
        ratio = spent[what] / spent[f"{what} of none"]
        assert ratio < MOST, f"{what}: {ratio:.2f} times as long as without a batch"
    for what in ("read results", "cancel"):
        ratio = spent[what] / spent["claim and ack of none"]
        assert ratio < MOST, f"{what}: {ratio:.2f} times as long as to claim and end them"
