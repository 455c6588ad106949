"""Workers on a queue: they do all of it, extend what takes long, and stop without losing a job."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.errors import JobFailedError, JobLostError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import HELD, LONG, SHORT, claim_one, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job
    from lionagi_qe.persistence import Memory


class _UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class _Outcome(BaseException):
    pass


async def _raise_unprintable(_: Job) -> None:
    raise _UnprintableError


async def _raise_base_exception(_: Job) -> None:
    raise _Outcome


async def _exit(_: Job) -> None:
    sys.exit(3)


async def _await_a_cancelled_task(_: Job) -> None:
    child = asyncio.create_task(asyncio.sleep(LONG))
    child.cancel()
    await child


async def _lose_another_job(_: Job) -> None:
    other = "another-job"
    raise JobLostError(other)


_BAD_ENDINGS = {
    "unprintable": _raise_unprintable,
    "base exception": _raise_base_exception,
    "exit": _exit,
    "a child's cancellation": _await_a_cancelled_task,
    "another job lost": _lose_another_job,
}


class ConsumerConformance(Conformance):
    """consume and work."""

    @pytest.mark.parametrize("ending", _BAD_ENDINGS)
    async def test_however_a_handler_ends_it_is_one_failed_attempt(
        self, memory: Memory, ending: str
    ) -> None:
        queue = WorkQueue(memory, "endings", max_attempts=2, backoff=lambda _: 0.01)
        calls = 0

        async def handler(job: Job) -> None:
            nonlocal calls
            if job.payload == "next":
                return
            calls += 1
            await _BAD_ENDINGS[ending](job)

        bad = await queue.put("bad")
        good = await queue.put("next")
        worker = asyncio.create_task(queue.work(handler, lease_ttl=LONG, signals=()))
        assert await queue.result(good, LONG) is None
        with pytest.raises(JobFailedError):
            await queue.result(bad, LONG)
        queue.stop()
        await worker
        stats = await queue.stats()
        assert (calls, stats.dead, stats.done, stats.claimed) == (2, 1, 1, 0)

    async def test_consume_yields_jobs_as_they_come(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(other)
        found: list[int] = []

        async def consume() -> None:
            async for job in queue.consume():
                found.append(job.payload)
                await job.ack()

        worker = asyncio.create_task(consume())
        for at in range(20):
            await queue_of(memory).put(at)
        await until(lambda: has(found, 20))
        queue.stop()
        await worker
        assert found == list(range(20))
        assert (await queue.stats()).done == 20

    async def test_no_more_jobs_are_in_hand_than_asked_for(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(30))
        at_once: list[int] = []
        working = 0

        async def handler(job: Job) -> int:
            nonlocal working
            working += 1
            at_once.append(working)
            await asyncio.sleep(0.005)
            working -= 1
            if len(at_once) == 30:
                queue.stop()
            return int(job.payload) * 2

        await queue.work(handler, concurrency=4, signals=())
        assert max(at_once) == 4
        assert (await queue.stats()).done == 30

    async def test_a_long_job_keeps_its_lease(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        started = asyncio.Event()

        async def handler(_: Job) -> str:
            started.set()
            await asyncio.sleep(HELD * 1.5)
            return "done"

        worker = asyncio.create_task(queue.work(handler, lease_ttl=HELD, signals=()))
        await started.wait()
        assert await queue_of(other).claim(wait=HELD * 1.2) == []
        assert await queue.result(job_id, LONG) == "done"
        queue.stop()
        await worker

    async def test_a_cancelled_claim_gives_back_what_it_brought(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        for turns in range(40):
            await queue.put(turns)
            claiming = asyncio.create_task(queue.claim(lease_ttl=LONG))
            for _ in range(turns):
                await asyncio.sleep(0)
            if claiming.cancel():
                await asyncio.wait([claiming])
                assert claiming.cancelled()
                (job,) = await queue_of(other).claim()
            else:
                (job,) = claiming.result()
            assert (job.payload, job.attempt) == (turns, 1)
            await job.ack()

    async def test_what_a_handler_raises_is_its_jobs_error(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=3)
        flaky, broken, odd = await queue.put_many(["flaky", "broken", "odd"])
        attempts: list[int] = []

        async def handler(job: Job) -> Any:
            if job.payload == "odd":
                return {"no JSON"}
            if job.payload == "broken" or job.attempt < 3:
                attempts.append(job.attempt)
                msg = f"attempt {job.attempt}"
                raise RuntimeError(msg)
            return "at last"

        worker = asyncio.create_task(queue.work(handler, concurrency=2, signals=()))
        assert await queue.result(flaky, LONG) == "at last"

        async def are_dead() -> bool:
            return (await queue.stats()).dead == 2

        await until(are_dead)
        queue.stop()
        await worker
        dead = {job.id: job for job in await queue.dead()}
        assert dead[broken].error == "RuntimeError: attempt 3"
        assert dead[odd].attempts == 1
        assert sorted(attempts) == [1, 1, 2, 2, 3]

    async def test_stopping_lets_jobs_end_and_gives_the_others_back(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(8))
        done: list[int] = []
        async for job in queue.consume(concurrency=4, grace=LONG):
            queue.stop()
            await asyncio.sleep(SHORT / 4)
            done.append(job.payload)
            await job.ack()
        assert done == [0]
        jobs = await queue_of(other).claim(10)
        assert [(job.payload, job.attempt) for job in jobs] == [(at, 1) for at in range(1, 8)]

    async def test_jobs_that_outlast_the_grace_are_cancelled_and_given_back(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put("endless")
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def handler(_: Job) -> None:
            started.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                cancelled.set()

        worker = asyncio.create_task(queue.work(handler, signals=(), grace=SHORT))
        await started.wait()
        queue.stop()
        await worker
        assert cancelled.is_set()
        assert (await claim_one(queue_of(other))).attempt == 1

    async def test_a_cancelled_worker_gives_its_jobs_back(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(6))
        started: list[int] = []

        async def handler(job: Job) -> None:
            started.append(job.payload)
            await asyncio.sleep(LONG)

        worker = asyncio.create_task(queue.work(handler, concurrency=3, signals=()))
        await until(lambda: has(started, 3))
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker
        jobs = await queue_of(other).claim(10)
        assert sorted(job.payload for job in jobs) == list(range(6))

    async def test_leaving_the_loop_gives_back_what_was_not_handed_out(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(4))
        jobs = queue.consume(concurrency=4)
        job = await anext(jobs)
        await job.ack()
        await jobs.aclose()
        left = await queue_of(other).claim(10, wait=LONG)
        assert [job.payload for job in left] == [1, 2, 3]

    async def test_a_handler_is_cancelled_when_its_job_is_lost(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put(1)
        lost = asyncio.Event()
        in_hand: list[Job] = []

        async def handler(job: Job) -> None:
            in_hand.append(job)
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                lost.set()
                raise

        worker = asyncio.create_task(queue.work(handler, lease_ttl=SHORT, signals=()))
        await until(lambda: has(in_hand, 1))
        # It keeps what it has in hand, but will not be the one who claims that again.
        queue.stop()
        # As if the server had not heard of this worker for longer than the lease.
        job = in_hand[0]
        await parts_of(memory).jobs.write(job._operation("release", b"", 0, None))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        thief = await claim_one(queue_of(other))
        await asyncio.wait_for(lost.wait(), LONG)
        assert job.lost
        await worker
        await thief.ack()

    async def test_a_handler_that_takes_too_long_has_failed_the_attempt(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        slow, own = await queue.put_many(["slow", "own"])

        async def handler(job: Job) -> None:
            if job.payload == "own":
                raise TimeoutError("its own")
            await asyncio.sleep(LONG)

        worker = asyncio.create_task(queue.work(handler, 2, signals=(), job_timeout=SHORT))
        for job_id in (slow, own):
            with pytest.raises(JobFailedError):
                await queue.result(job_id, LONG)
        queue.stop()
        await worker
        told = [await queue.status(job_id) for job_id in (slow, own)]
        errors = [status.error for status in told if status is not None]
        assert errors == [
            f"TimeoutError: it took longer than its worker's job_timeout, {SHORT:g} s",
            "TimeoutError: its own",
        ]

    async def test_a_plain_function_has_done_its_job(self, memory: Memory) -> None:
        queue = queue_of(memory)
        done: list[Any] = []

        def handler(job: Job) -> Any:
            done.append(job.payload)
            return "result"

        worker = asyncio.create_task(queue.work(handler, signals=()))
        assert await queue.result(await queue.put(7), LONG) == "result"
        queue.stop()
        await worker
        assert done == [7], "once, not until its attempts were used up"

    async def test_a_signal_stops_the_worker(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put(1)

        async def handler(_: Job) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(SHORT / 4)

        await queue.work(handler, signals=[signal.SIGUSR1])
        assert (await queue.stats()).done == 1

    async def test_many_workers_do_each_job_once(self, memory: Memory, other: Memory) -> None:
        done: list[int] = []
        queues = [queue_of((memory, other)[at % 2]) for at in range(6)]

        async def handler(job: Job) -> None:
            done.append(job.payload)
            if len(done) == 400:
                for queue in queues:
                    queue.stop()

        workers = [asyncio.create_task(queue.work(handler, 10, signals=())) for queue in queues]
        puts = (queue_of(memory).put(at) for at in range(400))
        await asyncio.gather(*puts, *workers)
        assert sorted(done) == list(range(400))


async def has(found: list[Any], count: int) -> bool:
    """Whether the list is that long by now."""
    return len(found) >= count
