"""Workers in processes of their own that are killed, while jobs are scheduled and cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING

import pytest
from tests import prefork
from tests.backends import SHARED, on, url_of

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import NewJob, WorkQueue

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

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


# Does one job of a key at a time, or tells. A lock on a file ends with its process. A worker that
# stands still for longer than its lease has lost its jobs to another: the lease is a long one.
LIMITED_WORKER = """
import asyncio, fcntl, sys
from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue

async def main():
    async with open_memory(sys.argv[1], fleet=sys.argv[2]) as memory:
        async def handle(job):
            with open(f"{sys.argv[3]}/{job.payload[0]}", "w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await memory.store(f"aqe/twice/{job.id}", job.payload)
                await memory.store(f"aqe/done/{job.payload[0]}-{job.payload[1]}", 1)
                await asyncio.sleep(0.05)

        print("up", flush=True)
        await WorkQueue(memory, "jobs").work(handle, 3, lease_ttl=4)

asyncio.run(main())
"""


# Adds one to what came before, or to what its batch came to, once it has noted that it began; stays
# in the first try of "stuck".
CHAIN_WORKER = """
import asyncio, sys
from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue

async def main():
    async with open_memory(sys.argv[1], fleet=sys.argv[2]) as memory:
        queue = WorkQueue(memory, "jobs")

        async def handle(job):
            before = list((await job.results()).values())
            if job.id == job.batch_id:
                before = [each.result async for each in queue.get_batch(job.id).results()]
            await memory.store(f"aqe/begun/{job.payload}-{job.attempt}", len(before))
            if job.payload == "stuck" and job.attempt == 1:
                await asyncio.sleep(600)
            return 1 + sum(before)

        print("up", flush=True)
        await queue.work(handle, 1, lease_ttl=1)

asyncio.run(main())
"""


@pytest.fixture(params=on(*SHARED))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"kills-{uuid.uuid4().hex[:12]}"


@contextlib.asynccontextmanager
async def worker(
    url: str, fleet: str, *more: str, program: str = WORKER
) -> AsyncGenerator[Process]:
    """One that works already, killed at the end."""
    process = await prefork.start("code", program, url, fleet, *more)
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


async def test_a_key_at_its_limit_goes_on_alone_though_workers_are_killed(
    url: str, fleet: str, tmp_path: Path
) -> None:
    keys, number = ("a", "b"), 12
    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "jobs")
        await queue.limit(per="key", concurrency=1)
        await queue.put_many(
            NewJob([key, at], limit_key=key) for key in keys for at in range(number)
        )

        async def are_done(count: int) -> bool:
            return len(await memory.list_keys("aqe/done/")) >= count

        async def all_ended() -> bool:
            return (await queue.stats()).done == len(keys) * number

        async with contextlib.AsyncExitStack() as stack:

            async def start() -> Process:
                started = worker(url, fleet, str(tmp_path), program=LIMITED_WORKER)
                return await stack.enter_async_context(started)

            first, _ = await start(), await start()
            await until(lambda: are_done(3))
            first.kill()
            await until(all_ended)
        assert await memory.list_keys("aqe/twice/") == []


async def test_a_batch_and_what_comes_after_it_go_on_behind_a_worker_that_was_killed(
    url: str, fleet: str
) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "jobs")
        first = await queue.put("first")
        batch = await queue.batch([NewJob("stuck", after=[first]), "beside"], then="call")
        last = await queue.put("last", after=[batch.id])

        async def is_stuck() -> bool:
            return await memory.retrieve("aqe/begun/stuck-1") is not None

        async with worker(url, fleet, program=CHAIN_WORKER) as process:
            await until(is_stuck)
            process.kill()
        stats = await queue.stats()
        assert (stats.claimed, stats.waiting) == (1, 2)
        assert (await batch.progress()).pending == 2
        async with worker(url, fleet, program=CHAIN_WORKER):
            assert await queue.result(last, LONG) == 5
        begun = [key.split("/")[2] for key in await memory.list_keys("aqe/begun/")]
        assert sorted(begun) == ["beside-1", "call-1", "first-1", "last-1", "stuck-1", "stuck-2"]
        assert (await batch.progress()).done == 2
