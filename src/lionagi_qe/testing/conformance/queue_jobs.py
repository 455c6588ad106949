"""The work queue: order, leases, retries, dead letters, results; every job at least once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import Lease, NewJob, exponential
from lionagi_qe.errors import (
    BatchTooLargeError,
    InvalidArgumentError,
    InvalidValueError,
    JobFailedError,
    JobLostError,
    JobNotDoneError,
    JobNotFoundError,
    StaleFenceError,
    ValueTooLargeError,
)
from lionagi_qe.testing.conformance.base import Conformance, Connect
from lionagi_qe.testing.conformance.queue_base import (
    LONG,
    SHORT,
    claim_one,
    much_later,
    queue_of,
)

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory


class QueueOrderConformance(Conformance):
    """Putting and claiming."""

    async def test_a_job_comes_with_what_was_put(self, memory: Memory, other: Memory) -> None:
        payload = {"file": "a.py", "lines": [1, 2.5, None], "ü": "\x00\n"}
        job_id = await queue_of(memory).put(payload, priority=-3)
        (job,) = await queue_of(other).claim()
        assert (job.id, job.payload, job.priority) == (job_id, payload, -3)
        assert (job.attempt, job.max_attempts, job.queue) == (1, 5, "jobs")
        assert job.created_at.tzinfo is not None
        assert await queue_of(other).claim() == []

    async def test_lower_priority_numbers_come_first_then_older_jobs(self, memory: Memory) -> None:
        queue = queue_of(memory)
        priorities = [5, 0, -7, 5, 0, 2**31 - 1, -(2**31) + 1, 0]
        for at, priority in enumerate(priorities):
            await queue.put(at, priority=priority)
        jobs = [*await queue.claim(3), *await queue.claim(100)]
        wanted = sorted(range(len(priorities)), key=lambda at: (priorities[at], at))
        assert [job.payload for job in jobs] == wanted

    async def test_put_many_keeps_order_and_settings(self, memory: Memory) -> None:
        queue = queue_of(memory)
        ids = await queue.put_many(
            [*range(50), NewJob("first", priority=-1), NewJob("later", delay=LONG)]
        )
        assert len(set(ids)) == 52
        jobs = await queue.claim(100)
        assert [job.payload for job in jobs] == ["first", *range(50)]
        assert [job.id for job in jobs] == [ids[50], *ids[:50]]
        assert await queue.put_many([]) == []

    async def test_a_delayed_job_comes_when_it_is_due_and_wakes_who_waits(
        self, memory: Memory, other: Memory
    ) -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(queue_of(other).claim(wait=LONG))
        await asyncio.sleep(SHORT / 4)
        put = loop.time()
        await queue_of(memory).put("later", delay=timedelta(seconds=SHORT), priority=-1)
        await queue_of(memory).put("much later", delay=LONG, priority=-2)
        (job,) = await waiting
        assert job.payload == "later"
        # The server's clock counts whole milliseconds.
        assert loop.time() - put > SHORT - 0.01

    async def test_each_job_goes_to_one_of_many_claimers(
        self, memory: Memory, other: Memory
    ) -> None:
        await queue_of(memory).put_many(range(200))
        queues = [queue_of(memory), queue_of(other)]
        batches = await asyncio.gather(*(queues[at % 2].claim(10) for at in range(40)))
        found = [job.payload for batch in batches for job in batch]
        rest = await queues[0].claim(200)
        assert sorted([*found, *(job.payload for job in rest)]) == list(range(200))

    async def test_who_waits_is_woken_by_a_put(self, memory: Memory, other: Memory) -> None:
        waiting = [asyncio.create_task(queue_of(other).claim(wait=LONG)) for _ in range(5)]
        await asyncio.sleep(SHORT)
        await asyncio.gather(*(queue_of(memory).put(at) for at in range(5)))
        answers = await asyncio.gather(*waiting)
        assert sorted(job.payload for (job,) in answers) == list(range(5))

    async def test_waiting_ends(self, memory: Memory) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await queue_of(memory).claim(wait=SHORT) == []
        assert loop.time() - started >= SHORT - 0.01

    async def test_queues_and_fleets_are_apart(
        self, memory: Memory, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        stranger = await opened.enter_async_context(connect(fleet=f"{fleet}-b"))
        names = ["jobs", "jobs:r", "jobs/1", "Jobs", "j%", "ü*?[]{}"]
        for name in names:
            await queue_of(memory, name).put(name)
        for name in names:
            assert await queue_of(stranger, name).claim() == []
            (job,) = await queue_of(memory, name).claim(10)
            assert job.payload == name
            await job.ack()
        assert await memory.jobs.queues() == sorted(names)

    async def test_jobs_are_no_entries(self, memory: Memory) -> None:
        await queue_of(memory).put_many(range(10))
        assert await memory.list_keys() == []
        assert (await memory.get_stats())["total_keys"] == 0

    async def test_a_dedupe_key_holds_until_the_job_ends(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=2)
        first = await queue.put(1, dedupe="k")
        assert await queue.put(2, dedupe="k") == first
        assert await queue.put(3, dedupe="other") != first
        assert await queue_of(memory, "elsewhere").put(4, dedupe="k") != first
        job = await claim_one(queue)
        assert job.id == first
        assert await queue.put(5, dedupe="k") == first
        assert await job.fail("once")
        assert await queue.put(6, dedupe="k") == first
        await (await claim_one(queue)).ack()
        second = await queue.put(7, dedupe="k")
        assert second != first
        jobs = await queue.claim(10)
        assert [job.payload for job in jobs] == [3, 7]
        await jobs[1].fail("for good", retry=False)
        assert await queue.put(8, dedupe="k") not in {first, second}

    async def test_of_many_puts_with_one_key_one_counts(
        self, memory: Memory, other: Memory
    ) -> None:
        queues = [queue_of(memory), queue_of(other)]
        ids = await asyncio.gather(*(queues[at % 2].put(at, dedupe="k") for at in range(60)))
        assert len(set(ids)) == 1
        many = await queues[0].put_many([NewJob(at, dedupe="k") for at in range(5)])
        assert set(many) == set(ids)
        assert [job.id for job in await queues[0].claim(10)] == [ids[0]]

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"priority": 1.5}, "priority"),
            ({"priority": True}, "priority"),
            ({"priority": 2**31}, "priority"),
            ({"delay": -1}, "delay"),
            ({"delay": "1"}, "delay"),
            ({"delay": float("inf")}, "delay"),
            ({"dedupe": ""}, "dedupe"),
            ({"dedupe": "x" * 200}, "dedupe"),
            ({"fence": "lease"}, "Lease"),
        ],
    )
    async def test_bad_arguments_are_refused(
        self, memory: Memory, settings: dict[str, Any], words: str
    ) -> None:
        queue = queue_of(memory)
        with pytest.raises(InvalidArgumentError, match=words):
            await queue.put(1, **settings)
        assert await queue.claim() == []

    @pytest.mark.parametrize("seconds", [-1.0, float("inf"), 1e300])
    async def test_a_backoff_that_goes_too_far_is_cut(self, memory: Memory, seconds: float) -> None:
        def backoff(_attempt: int) -> float:
            return seconds

        queue = queue_of(memory, backoff=backoff)
        await queue.put(1)
        (job,) = await queue.claim()
        assert await job.fail("bad"), "there is another attempt"
        assert len(await queue.claim()) == (seconds < 0)

    @pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e300, "1"])
    async def test_impossible_times_are_refused(self, memory: Memory, seconds: Any) -> None:
        queue = queue_of(memory)
        await queue.put(1)
        with pytest.raises(InvalidArgumentError, match="lease"):
            await queue.claim(lease=seconds)
        with pytest.raises(InvalidArgumentError, match="result_ttl"):
            queue_of(memory, result_ttl=seconds)
        (job,) = await queue.claim()
        with pytest.raises(InvalidArgumentError, match="seconds"):
            await job.extend(seconds)
        with pytest.raises(InvalidArgumentError, match="delay"):
            await job.fail("bad", delay=seconds)
        await job.ack()

    async def test_bad_payloads_and_batches_are_refused_whole(
        self, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        small = connect(fleet=fleet, max_batch=3, max_value_bytes=100)
        queue = queue_of(await opened.enter_async_context(small))
        with pytest.raises(InvalidValueError):
            await queue.put({1, 2})
        with pytest.raises(InvalidValueError):
            await queue.put_many([1, {2}])
        with pytest.raises(ValueTooLargeError):
            await queue.put("x" * 200)
        with pytest.raises(BatchTooLargeError):
            await queue.put_many(range(4))
        for call in (queue.claim(0), queue.claim(1, lease=0), queue.claim(1, wait=-1)):
            with pytest.raises(InvalidArgumentError):
                await call
        assert await queue.claim() == []


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
        for attempt in (1, 2, 3):
            started = loop.time()
            job = await claim_one(queue)
            assert (job.id, job.attempt) == (job_id, attempt)
            if attempt > 1:
                assert loop.time() - started > SHORT * 2 ** (attempt - 2) - 0.02
            assert await job.fail(ValueError(f"attempt {attempt}")) == (attempt < 3)
        assert await queue.claim(wait=SHORT) == []
        with pytest.raises(JobFailedError, match="attempt 3"):
            await queue.result(job_id, LONG)
        (dead,) = await queue.dead()
        assert (dead.id, dead.payload, dead.attempts, dead.priority) == (job_id, "try", 3, 4)
        assert dead.error == "ValueError: attempt 3"

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
        late = await claim_one(queue, lease=SHORT)
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
        first = await claim_one(queue, lease=SHORT)
        second = await claim_one(queue)
        with pytest.raises(JobLostError):
            await first.ack()
        await second.ack()
        with pytest.raises(JobLostError):
            await second.ack()

    async def test_a_job_whose_lease_ends_on_its_last_attempt_is_dead(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        await queue.put("kills its worker", dedupe="k")
        await claim_one(queue, lease=SHORT)
        assert await queue.claim(wait=SHORT * 2) == []
        (dead,) = await queue.dead()
        assert "lease" in dead.error
        assert await queue.put("again", dedupe="k") != dead.id

    async def test_late_work_counts_while_nobody_else_took_the_job(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1)
        job = await claim_one(queue, lease=0.05)
        await asyncio.sleep(0.1)
        await job.ack("late")
        assert await queue.result(job_id, LONG) == "late"

    async def test_an_extended_lease_holds(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await queue.put(1)
        job = await claim_one(queue, lease=SHORT)
        for _ in range(4):
            await job.extend(SHORT)
            assert await queue_of(other).claim(wait=SHORT / 2) == []
        await job.ack()

    async def test_many_ends_at_once_are_each_their_own(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put_many(range(90))
        lost = await queue.claim(30, lease=0.05)
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

    async def test_stats_count_each_state(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put_many([*range(6), NewJob("later", delay=LONG)])
        first, second, _third = await queue.claim(3)
        await first.ack()
        await second.fail("no", retry=False)
        stats = await queue.stats()
        assert (stats.ready, stats.delayed, stats.claimed) == (3, 1, 1)
        assert (stats.done, stats.dead, stats.exact) == (1, 1, True)
