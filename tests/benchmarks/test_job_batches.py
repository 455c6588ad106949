"""Batches of two sizes: a job costs no more in a large one than in a small one."""

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

SMALL, LARGE = 1_000, 10_000
AT_ONCE = 200
# Of seconds for each job of the large one, to those of the small one; ten if each looked at all.
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


async def test_a_large_batch_costs_no_more_a_job_than_a_small_one(url: str) -> None:
    async with open_memory(url, fleet=f"batches-{uuid.uuid4().hex[:12]}") as memory:
        await _batch_of(memory, SMALL)
        spent = {size: await _batch_of(memory, size) for size in (SMALL, LARGE)}
    for what, seconds in spent[LARGE].items():
        small = spent[SMALL][what]
        print(f"{what:<24} {small:9.4f} s of {SMALL:,} {seconds:9.4f} s of {LARGE:,}")
    for what in ("put", "claim and ack", "read results", "cancel"):
        ratio = spent[LARGE][what] / LARGE / (spent[SMALL][what] / SMALL)
        assert ratio < MOST, f"{what}: {ratio:.2f} times as long for each job"
