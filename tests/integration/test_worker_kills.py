"""Workers in processes of their own that are killed, while jobs are scheduled and cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING

import pytest
from tests import programs
from tests.backends import SHARED, on, url_of

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Awaitable, Callable

pytestmark = pytest.mark.integration

KILLS = 2
LONG = 20.0
# Notes the time that a job is for, or stays in it.
WORKER = """
import asyncio, sys
from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue

async def main():
    async with open_memory(sys.argv[1], fleet=sys.argv[2]) as memory:
        async def handle(job):
            await job.progress("begun")
            if job.scheduled_for is None:
                await asyncio.sleep(600)
            await memory.store(f"aqe/ticks/{job.scheduled_for.timestamp():.0f}/{job.id}", 1)

        print("up", flush=True)
        await WorkQueue(memory, "jobs").work(handle, 2, lease_ttl=1)

asyncio.run(main())
"""


@pytest.fixture(params=on(*SHARED))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"kills-{uuid.uuid4().hex[:12]}"


@contextlib.asynccontextmanager
async def worker(url: str, fleet: str) -> AsyncGenerator[Process]:
    """One that works already, killed at the end."""
    process = await programs.start("-c", WORKER, url, fleet)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG):
        while not await condition():  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.05)


async def test_each_second_has_its_one_job_though_workers_are_killed(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "jobs")

        async def ticks() -> list[int]:
            return [int(key.split("/")[2]) for key in await memory.list_keys("aqe/ticks/")]

        async def all_done() -> bool:
            counts = await queue.stats()
            return not counts.ready and not counts.claimed

        await queue.schedule("tick", cron="* * * * * *", missed="all")
        (schedule,) = await queue.schedules()
        async with contextlib.AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(worker(url, fleet)) for _ in range(2)]
            for _ in range(KILLS):
                enough = len(await ticks()) + 2

                async def has_more(enough: int = enough) -> bool:
                    return len(await ticks()) >= enough

                await until(has_more)
                workers.pop(0).kill()
                workers.append(await stack.enter_async_context(worker(url, fleet)))
            await queue.unschedule("tick")
            await until(all_done)
        counts = await queue.stats()
        first = int(schedule.next_at.timestamp())
        assert sorted(await ticks()) == [*range(first, first + counts.done)]
        assert (counts.done >= 2 * KILLS, counts.dead) == (True, 0)


async def test_a_job_whose_worker_died_while_it_was_cancelled_is_not_done_again(
    url: str, fleet: str
) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "jobs")
        job_id = await queue.put("stay")

        async def is_begun() -> bool:
            status = await queue.status(job_id)
            return status is not None and status.progress is not None

        async with worker(url, fleet) as process:
            await until(is_begun)
            process.kill()
            assert await queue.cancel(job_id) in {"cancelling", "cancelled"}
            async with worker(url, fleet):
                with pytest.raises(errors.JobCancelledError):
                    await queue.result(job_id, LONG)
        status = await queue.status(job_id)
        assert status is not None
        assert (status.state, status.attempts) == ("cancelled", 1)
