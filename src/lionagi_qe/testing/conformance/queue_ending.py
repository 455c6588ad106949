"""How jobs end: done, tried again, dead, given back; every job at least once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import Lease, NewJob, exponential
from lionagi_qe.errors import (
    InvalidArgumentError,
    InvalidValueError,
    JobFailedError,
    JobLostError,
    JobNotDoneError,
    JobNotFoundError,
    StaleFenceError,
)
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import (
    HELD,
    LONG,
    SHORT,
    claim_one,
    much_later,
    queue_of,
)

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


def _raised(text: str) -> ValueError:
    """Return an error with a traceback and a cause."""
    try:
        raise ValueError(text) from KeyError("cause")  # noqa: TRY301 - it needs a traceback
    except ValueError as error:
        return error


class QueueEndingConformance(Conformance):
    """How a job ends."""

    async def test_a_done_job_gives_its_result(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        ids = await queue.put_many(range(30))
        waiting = [asyncio.create_task(queue_of(other).result(job_id, LONG)) for job_id in ids]
        for job in await queue.claim(100):
            await job.ack({"double": job.payload * 2})
        assert await asyncio.gather(*waiting) == [{"double": at * 2} for at in range(30)]
        stats = await queue.stats()
        assert (stats.done, stats.ready, stats.claimed) == (30, 0, 0)

    async def test_results_are_told_as_what_they_are(self, memory: Memory) -> None:
        queue = queue_of(memory, result_ttl=SHORT)
        with pytest.raises(JobNotFoundError):
            await queue.result("unknown", LONG)
        job_id = await queue.put(1)
        with pytest.raises(JobNotDoneError):
            await queue.result(job_id, 0.05)
        job = await claim_one(queue)
        with pytest.raises(InvalidValueError):
            await job.ack({1, 2})
        await job.ack()
        assert await queue.result(job_id, LONG) is None
        await asyncio.sleep(SHORT * 2)
        with pytest.raises(JobNotFoundError):
            await queue.result(job_id, LONG)
        await memory.cleanup_expired()
        assert (await queue.stats()).done == 0

    async def test_a_failed_job_comes_back_after_its_backoff_until_it_is_dead(
        self, memory: Memory
    ) -> None:
        loop = asyncio.get_running_loop()
        queue = queue_of(memory, max_attempts=3, backoff=exponential(SHORT, jitter=0))
        job_id = await queue.put("try", priority=4)
        failing = loop.time()
        for attempt in (1, 2, 3):
            job = await claim_one(queue)
            assert (job.id, job.attempt) == (job_id, attempt)
            if attempt > 1:
                assert loop.time() - failing > SHORT * 2 ** (attempt - 2) - 0.02
            # The pause begins at the server, so some time before its answer is here.
            failing = loop.time()
            assert await job.fail(ValueError(f"attempt {attempt}")) == (attempt < 3)
        assert await queue.claim(wait=SHORT) == []
        with pytest.raises(JobFailedError, match="attempt 3"):
            await queue.result(job_id, LONG)
        (dead,) = await queue.dead()
        assert (dead.id, dead.payload, dead.attempts, dead.priority) == (job_id, "try", 3, 4)
        assert dead.error == "ValueError: attempt 3"

    async def test_failed_attempts_are_kept_with_their_reasons(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=4)
        job_id = await queue.put("try", priority=-1)
        job = await claim_one(queue)
        await job.fail(_raised("first // ünd"), delay=0)
        with pytest.raises(JobLostError):
            await job.fail("again")
        await (await claim_one(queue)).release()
        await claim_one(queue, lease_ttl=SHORT)
        await (await claim_one(queue)).fail("third", delay=0)
        (before,) = (await queue.jobs("ready")).jobs
        assert before.status.failed_attempts == (), "lists cost what they cost before"
        assert not await (await claim_one(queue)).fail("third", retry=False)
        status = await queue_of(other).status(job_id)
        assert status is not None
        attempts = status.failed_attempts
        assert [(each.attempt, each.error) for each in attempts] == [
            (1, "ValueError: first // ünd"),
            (2, "its worker let the lease end"),
            (3, "third"),
            (4, "third"),
        ]
        assert status.error == "third"
        first, ended, *_ = attempts
        assert "KeyError: 'cause'" in (first.traceback or "")
        assert (ended.worker, ended.seconds, ended.traceback) == (None, None, None)
        assert first.worker
        assert 0 <= (first.seconds or 0) < LONG
        assert [each.ended_at for each in attempts] == sorted(each.ended_at for each in attempts)
        assert abs((first.ended_at - status.created_at).total_seconds()) < LONG
        await queue.retry_dead([job_id])
        await (await claim_one(queue)).ack("at last")
        done = await queue.status(job_id)
        assert done is not None
        assert done.failed_attempts == attempts, "kept with what it came to"

    async def test_the_newest_failed_attempts_are_kept(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=20)
        job_id = await queue.put("try")
        for _ in range(12):
            job = await claim_one(queue)
            await job.fail(f"attempt {job.attempt}", delay=0)
        status = await queue.status(job_id)
        assert status is not None
        kept = [(each.attempt, each.error) for each in status.failed_attempts]
        assert kept == [(at, f"attempt {at}") for at in range(3, 13)]

    async def test_a_new_payload_has_no_failed_attempts_and_a_cancelled_job_keeps_its_own(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        job_id = await queue.put("old", dedupe="one")
        await (await claim_one(queue)).fail("of the old", delay=0)
        await queue.put("new", dedupe="one", on_duplicate="replace")
        replaced = await queue.status(job_id)
        assert replaced is not None
        assert (replaced.payload, replaced.failed_attempts) == ("new", ())
        job = await claim_one(queue)
        assert await queue.cancel(job_id) == "cancelling"
        await job.fail("told to stop")
        cancelled = await queue.status(job_id)
        assert cancelled is not None
        assert (cancelled.state, cancelled.error) == ("cancelled", "told to stop")
        assert [each.error for each in cancelled.failed_attempts] == ["told to stop"]

    async def test_a_failure_may_say_when_or_that_it_is_for_good(self, memory: Memory) -> None:
        queue = queue_of(memory, backoff=much_later)
        await queue.put_many(["soon", "never"])
        soon, never = await queue.claim(2)
        assert await soon.fail("busy", delay=0)
        assert not await never.fail("hopeless", retry=False)
        assert (await claim_one(queue)).payload == "soon"
        assert [job.payload for job in await queue.dead()] == ["never"]

    async def test_a_released_job_has_lost_no_attempt_and_keeps_its_place(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put_many(["first", "second"])
        job = await claim_one(queue)
        await job.release()
        again = await claim_one(queue)
        assert (again.payload, again.attempt) == ("first", 1)

    async def test_a_job_whose_lease_ended_comes_back_and_is_lost_to_the_first(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=2)
        job_id = await queue.put(1)
        late = await claim_one(queue, lease_ttl=SHORT)
        current = await claim_one(queue_of(other))
        assert (current.id, current.attempt) == (job_id, 2)
        for call in (late.ack("late"), late.fail("late"), late.extend(5), late.release()):
            with pytest.raises(JobLostError):
                await call
        assert late.lost
        await current.ack("in time")
        assert await queue.result(job_id, LONG) == "in time"

    async def test_an_old_claim_is_no_use_after_the_job_was_claimed_again_by_the_same(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.put(1)
        first = await claim_one(queue, lease_ttl=SHORT)
        second = await claim_one(queue)
        with pytest.raises(JobLostError):
            await first.ack()
        await second.ack()
        with pytest.raises(JobLostError):
            await second.ack()

    async def test_a_job_whose_lease_ends_on_its_last_attempt_is_dead(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        await queue.put("kills its worker", dedupe="k")
        await claim_one(queue, lease_ttl=SHORT)
        assert await queue.claim(wait=SHORT * 2) == []
        (dead,) = await queue.dead()
        assert "lease" in dead.error
        assert await queue.put("again", dedupe="k") != dead.id

    async def test_late_work_counts_while_nobody_else_took_the_job(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        job = await claim_one(queue, lease_ttl=0.05)
        await asyncio.sleep(0.1)
        await job.ack("late")
        assert await queue.result(job_id, LONG) == "late"

    async def test_an_extended_lease_holds(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await queue.put(1)
        job = await claim_one(queue, lease_ttl=HELD)
        for _ in range(5):
            await job.extend(HELD)
            assert await queue_of(other).claim(wait=HELD / 4) == []
        await job.ack()

    async def test_many_ends_at_once_are_each_their_own(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(90))
        lost = await queue.claim(30, lease_ttl=0.05)
        await asyncio.sleep(0.1)
        jobs = await queue.claim(90)
        assert len(jobs) == 90
        calls: list[Any] = []
        for at, job in enumerate(jobs):
            calls.append(job.ack(at) if at % 3 else job.fail("no", retry=False))
        calls += [job.ack() for job in lost]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[:90] == [None if at % 3 else False for at in range(90)]
        assert {type(answer) for answer in answers[90:]} == {JobLostError}
        stats = await queue.stats()
        assert (stats.done, stats.dead, stats.claimed, stats.ready) == (60, 30, 0, 0)

    async def test_fences_guard_puts_and_ends(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        async with Lease(memory, "leader", ttl=LONG) as lease:
            await queue.put("fenced", fence=lease)
            await queue.put_many(["many"], fence=lease)
            first, second = await queue.claim(2)
            await first.ack(fence=lease)
            old = lease.fence
        async with Lease(other, "leader", ttl=LONG) as lease:
            for call in (
                queue.put(1, fence=old),
                queue.put_many([1, 2], fence=old),
                second.ack(fence=old),
                second.fail("x", fence=old),
            ):
                with pytest.raises(StaleFenceError):
                    await call
            assert await queue.claim() == []
            await second.ack(fence=lease)

    async def test_dead_letters_are_listed_revived_and_purged(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        ids = await queue.put_many(range(7))
        for job in await queue.claim(10):
            await job.fail(f"no {job.payload}")
        ids.sort()
        assert [job.id for job in await queue.dead(limit=3)] == ids[:3]
        assert [job.id for job in await queue.dead(after=ids[2])] == ids[3:]
        assert await queue.retry_dead([ids[0], ids[1], ids[1], "unknown"]) == 2
        assert sorted(job.id for job in await queue.claim(10)) == ids[:2]
        assert await queue.purge_dead([ids[2], ids[0]]) == 1
        assert await queue.retry_dead() == 4
        assert await queue.retry_dead() == 0
        jobs = await queue.claim(10)
        assert sorted(job.id for job in jobs) == ids[3:]
        assert {job.attempt for job in jobs} == {1}
        await asyncio.gather(*(job.fail("again") for job in jobs))
        assert await queue.purge_dead() == 4
        stats = await queue.stats()
        assert (stats.dead, stats.ready, stats.claimed) == (0, 0, 2)
        with pytest.raises(JobNotFoundError):
            await queue.result(ids[3], LONG)

    async def test_dead_letters_are_purged_by_their_age(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        await queue.put_many([1, 2])
        for job in await queue.claim(2):
            await job.fail("broken")
        waiting = await queue.put(3)
        assert await queue.purge_dead(older_than=LONG) == 0

        purged = 0

        async def all_are_purged() -> bool:
            nonlocal purged
            purged += await queue.purge_dead(older_than=0.001)
            return purged == 2

        await until(all_are_purged)
        assert await queue.dead() == []
        assert await queue.status(waiting) is not None
        with pytest.raises(InvalidArgumentError, match="older_than"):
            await queue.purge_dead(["id"], older_than=1)

    async def test_stats_count_each_state(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put_many([*range(6), NewJob("later", delay=LONG)])
        first, second, _third = await queue.claim(3)
        await first.ack()
        await second.fail("no", retry=False)
        stats = await queue.stats()
        assert (stats.ready, stats.delayed, stats.claimed) == (3, 1, 1)
        assert (stats.done, stats.dead, stats.exact) == (1, 1, True)
