"""Cancelling jobs, and reading how they stand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.coordination import NewJob
from lionagi_qe.errors import JobCancelledError, JobLostError, JobNotFoundError
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.queue_base import LONG, SHORT, claim_one, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job, WorkQueue
    from lionagi_qe.persistence import Memory

# Of a lease, so that its worker looks after a third of that.
_LEASE = 3 * SHORT


async def _state(queue: WorkQueue, job_id: str) -> str:
    status = await queue.status(job_id)
    return "unknown" if status is None else status.state


class QueueCancelConformance(Conformance):
    """cancel, status and progress."""

    async def test_a_job_that_waits_is_cancelled_at_once(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        ready, delayed, kept = await queue.put_many(
            [NewJob("ready", dedupe="k"), NewJob("delayed", delay=LONG), "kept"]
        )
        waiting = asyncio.create_task(queue_of(other).result(ready, LONG))
        for job_id in (ready, delayed, ready):
            assert await queue.cancel(job_id) == "cancelled"
            assert await _state(queue, job_id) == "cancelled"
        with pytest.raises(JobCancelledError, match=ready):
            await waiting
        assert [job.id for job in await queue.claim(10)] == [kept]
        stats = await queue.stats()
        assert (stats.ready, stats.delayed, stats.cancelled) == (0, 0, 2)
        assert await queue.put("again", dedupe="k") not in {ready, delayed}

    async def test_cancelling_what_ended_or_never_was_changes_nothing(self, memory: Memory) -> None:
        queue = queue_of(memory)
        done, dead = await queue.put_many(range(2))
        first, second = await queue.claim(2)
        await first.ack("result")
        await second.fail("no", retry=False)
        assert await queue.cancel(done) == "already done"
        assert await queue.cancel(dead) == "already dead"
        assert await queue.cancel("never put") == "unknown"
        assert await queue_of(memory, "elsewhere").cancel(done) == "unknown"
        assert await queue.result(done, LONG) == "result"
        assert [job.id for job in await queue.dead()] == [dead]

    async def test_a_cancelled_job_is_kept_as_long_as_a_result(self, memory: Memory) -> None:
        queue = queue_of(memory, result_ttl=SHORT)
        job_id = await queue.put(1)
        assert await queue.cancel(job_id) == "cancelled"
        await asyncio.sleep(SHORT * 2)
        assert await queue.cancel(job_id) == "unknown"
        with pytest.raises(JobNotFoundError):
            await queue.result(job_id, LONG)
        await memory.cleanup_expired()
        assert (await queue.stats()).cancelled == 0

    async def test_a_handler_is_cancelled_when_its_lease_is_next_extended(
        self, memory: Memory, other: Memory
    ) -> None:
        # One at a time: what is in hand must not keep the worker from hearing of it.
        queue = queue_of(memory)
        job_id = await queue.put("endless", dedupe="k")
        started, ended = asyncio.Event(), asyncio.Event()

        async def handler(job: Job) -> str:
            if job.payload != "endless":
                return "next"
            started.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                ended.set()
            return "too late"

        worker = asyncio.create_task(queue.work(handler, lease_ttl=_LEASE, signals=()))
        await started.wait()
        assert await queue_of(other).cancel(job_id) == "cancelling"
        assert await _state(queue, job_id) == "cancelling"
        with pytest.raises(JobCancelledError):
            await queue_of(other).result(job_id, LONG)
        assert ended.is_set()
        following = await queue.put("next", dedupe="k")
        assert await queue.result(following, LONG) == "next"
        queue.stop()
        await worker
        stats = await queue.stats()
        assert (stats.cancelled, stats.done, stats.dead, stats.claimed) == (1, 1, 0, 0)

    async def test_a_handler_that_ends_its_work_all_the_same_has_done_it(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        started = asyncio.Event()

        async def handler(_: Job) -> str:
            started.set()
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                return "partly"
            return "wholly"

        worker = asyncio.create_task(queue.work(handler, lease_ttl=_LEASE, signals=()))
        await started.wait()
        assert await queue.cancel(job_id) == "cancelling"
        assert await queue.result(job_id, LONG) == "partly"
        assert await queue.cancel(job_id) == "already done"
        queue.stop()
        await worker

    @pytest.mark.parametrize("ending", ["fail", "bury", "release"])
    async def test_a_job_being_cancelled_is_not_tried_again_however_it_ends(
        self, memory: Memory, ending: str
    ) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1, dedupe="k")
        job = await claim_one(queue)
        assert not job.cancelling
        assert await queue.cancel(job_id) == "cancelling"
        await job.extend(LONG)
        assert job.cancelling
        if ending == "release":
            await job.release()
        else:
            await job.fail("broken off", retry=ending == "fail")
        status = await queue.status(job_id)
        assert status is not None
        error = None if ending == "release" else "broken off"
        assert (status.state, status.attempts, status.error) == ("cancelled", 1, error)
        assert await queue.claim() == []
        assert await queue.dead() == []
        assert await queue.put(2, dedupe="k") != job_id

    async def test_a_job_being_cancelled_is_cancelled_when_its_worker_dies(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        asked, overdue = await queue.put_many(range(2))
        gone = await queue.claim(2, lease_ttl=SHORT)
        assert await queue.cancel(asked) == "cancelling"
        assert await queue_of(other).claim(wait=SHORT / 2) == []
        await asyncio.sleep(SHORT)
        # Nobody claimed it since its lease ended, but it holds nobody back.
        assert await queue.cancel(overdue) == "cancelled"
        assert await queue_of(other).claim() == []
        assert await _state(queue, asked) == "cancelled"
        for job in gone:
            with pytest.raises(JobLostError):
                await job.ack("late")

    async def test_of_a_cancel_and_a_claim_or_an_end_one_counts(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        ids = await queue.put_many(range(60))
        calls = [queue_of(other).cancel(job_id) for job_id in ids]
        claimed, answers = await asyncio.gather(queue.claim(60), asyncio.gather(*calls))
        in_hand = {job.id for job in claimed}
        expected = {job_id: "cancelling" if job_id in in_hand else "cancelled" for job_id in ids}
        assert dict(zip(ids, answers, strict=True)) == expected
        _, answers = await asyncio.gather(
            asyncio.gather(*(job.ack() for job in claimed)),
            asyncio.gather(*(queue_of(other).cancel(job.id) for job in claimed)),
        )
        assert set(answers) <= {"cancelling", "already done"}
        stats = await queue.stats()
        assert (stats.done, stats.cancelled) == (len(claimed), 60 - len(claimed))

    async def test_progress_is_read_by_others_and_kept(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put({"file": "a.py"}, priority=3)
        job = await claim_one(queue)
        looks = queue_of(other)
        for progress in ({"done": 1, "of": 3}, "ü\x00", None, [2]):
            await job.progress(progress)
            status = await looks.status(job_id)
            assert status is not None
            assert status.progress == progress
        assert (status.state, status.payload, status.attempts) == ("claimed", {"file": "a.py"}, 1)
        assert (status.priority, status.max_attempts, status.result) == (3, 5, None)
        await job.ack("result")
        status = await looks.status(job_id)
        assert status is not None
        assert (status.state, status.result, status.progress) == ("done", "result", [2])
        with pytest.raises(JobLostError):
            await job.progress("more")
        assert await looks.status("unknown") is None

    async def test_whoever_lost_a_job_tells_no_progress(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        late = await claim_one(queue, lease_ttl=SHORT)
        current = await claim_one(queue_of(other))
        await current.progress("current")
        with pytest.raises(JobLostError):
            await late.progress("late")
        status = await queue.status(job_id)
        assert status is not None
        assert status.progress == "current"

    async def test_progress_tells_that_the_job_is_to_be_cancelled(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        steps: list[int] = []

        async def handler(job: Job) -> None:
            for step in range(1_000):
                await job.progress(step)
                steps.append(step)
                if step == 2:
                    assert await queue.cancel(job_id) == "cancelling"

        worker = asyncio.create_task(queue.work(handler, lease_ttl=LONG, signals=()))
        with pytest.raises(JobCancelledError):
            await queue.result(job_id, LONG)
        queue.stop()
        await worker
        assert steps[:3] == [0, 1, 2]
        assert len(steps) <= 4

    async def test_dead_jobs_are_grouped_by_their_reasons(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        errors = [
            "timeout after 3 s on host 'a'",
            "timeout after 12.5 s on host 'b'",
            "no such file: x.py",
            "timeout after 4 s on host 'c'",
        ]
        ids = [await queue.put(error) for error in errors]
        for job in await queue.claim(10):
            await job.fail(job.payload)
        first, second = await queue.dead_groups()
        assert (first.reason, first.count) == ("timeout after … s on host …", 3)
        assert {first.first.id, first.last.id} <= {ids[0], ids[1], ids[3]}
        assert (second.reason, second.count, second.first.id) == ("no such file: x.py", 1, ids[2])
        assert sum(group.count for group in await queue.dead_groups(limit=2)) == 2
