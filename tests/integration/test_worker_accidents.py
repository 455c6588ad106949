"""Handlers that take more with them than their own job."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.backends import SHARED, on, url_of

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job

pytestmark = pytest.mark.integration

LONG = 20.0


@pytest.fixture(params=on(*SHARED))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"accidents-{uuid.uuid4().hex[:12]}"


async def test_a_handler_that_closes_the_memory_ends_its_worker_and_loses_no_job(
    url: str, fleet: str
) -> None:
    calls = 0
    memory = open_memory(url, fleet=fleet)
    queue = WorkQueue(memory, "jobs")
    await queue.put("job")

    async def closing(_: Job) -> None:
        nonlocal calls
        calls += 1
        await memory.close()

    with pytest.raises(errors.MemoryClosedError):
        await queue.work(closing, 2, lease_ttl=0.5, signals=())
    assert calls == 1
    async with open_memory(url, fleet=fleet) as other:
        (job,) = await WorkQueue(other, "jobs").claim(wait=LONG)
        assert (job.payload, job.attempt) == ("job", 2)
        await job.ack()


async def test_a_handler_that_never_yields_ends_no_worker_and_is_not_repeated_for_ever(
    url: str, fleet: str
) -> None:
    calls: list[str] = []

    async def busy(job: Job) -> str:
        calls.append(job.payload)
        if job.payload == "busy":
            end = time.monotonic() + 1.2
            while time.monotonic() < end:  # As a handler that computes and forgets the loop.
                pass
        return "done"

    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "jobs", max_attempts=2)
        job_ids = [await queue.put(name) for name in ("busy", "quick")]
        worker = asyncio.create_task(queue.work(busy, lease_ttl=0.5, signals=()))
        for job_id in job_ids:
            assert await queue.result(job_id, LONG) == "done"
        assert not worker.done()
        assert calls.count("busy") <= 2
        queue.stop()
        await worker
