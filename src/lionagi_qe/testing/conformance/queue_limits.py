"""Limits of queues and of keys, decided with the claim; turns between keys."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.coordination import Limit, NewJob
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.queue_base import LONG, SHORT, claim_one, queue_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.coordination import Job, WorkQueue
    from lionagi_qe.persistence import Memory

# Periods in which a test can't come to the next job.
DAY = timedelta(days=1)


async def _put(queue: WorkQueue, keys: Iterable[str | None]) -> None:
    """Put a job for each key, whose payload is the key and its number."""
    count: dict[str | None, itertools.count[int]] = {}
    await queue.put_many(
        NewJob([key, next(count.setdefault(key, itertools.count(1)))], limit_key=key)
        for key in keys
    )


def _told(jobs: Iterable[Job]) -> list[str]:
    return [f"{key or ''}{number}" for key, number in (job.payload for job in jobs)]


async def _all(queue: WorkQueue) -> list[Job]:
    return await queue.claim(50, LONG)


class QueueLimitsConformance(Conformance):
    """limit, limits, limit_key."""

    async def test_keys_take_turns_whoever_came_first(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await _put(queue, "aaaaabbc")
        assert _told(await queue.claim(4, LONG)) == ["a1", "b1", "c1", "a2"]
        await _put(queue_of(other), "d")
        assert _told(await queue_of(other).claim(50, LONG)) == ["b2", "a3", "d1", "a4", "a5"]
        assert await _all(queue) == []

    async def test_jobs_without_a_key_take_turns_as_one_more(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await _put(queue, ["a", None, "a", None, None, "b"])
        assert _told(await queue.claim(2, LONG)) == ["1", "a1"]
        assert _told(await _all(queue)) == ["b1", "2", "a2", "3"]

    async def test_priority_comes_before_turns(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await _put(queue, "ab")
        await queue.put(["a", 9], limit_key="a", priority=-1)
        await queue.put(["a", 8], limit_key="a", priority=1)
        await queue.put([None, 7], priority=-2)
        await queue.put(["c", 6], limit_key="c", priority=-1)
        assert _told(await queue.claim(3, LONG)) == ["7", "a9", "c6"]
        assert sorted(_told(await queue.claim(2, LONG))) == ["a1", "b1"]
        assert _told(await _all(queue)) == ["a8"]

    async def test_a_queue_has_no_more_jobs_claimed_than_its_limit(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.limit(concurrency=3)
        await _put(queue, [None, "a", "a", None, "b", None])
        claims = await asyncio.gather(
            *(queue_of(each).claim(2, LONG) for each in [memory, other] * 2)
        )
        jobs = [job for claim in claims for job in claim]
        assert len(jobs) == 3
        assert await _all(queue_of(other)) == []
        await jobs[0].ack()
        await jobs[1].fail("again")
        await jobs[2].release()
        assert len(await _all(queue_of(other))) == 3
        assert (await queue.stats()).ready == 2

    async def test_a_key_has_no_more_jobs_claimed_than_the_limit_of_keys(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", concurrency=2)
        await _put(queue, "aaaaab")
        await _put(queue, [None] * 3)
        jobs = await _all(queue)
        assert sorted(_told(jobs)) == ["1", "2", "3", "a1", "a2", "b1"]
        held = dict(zip(_told(jobs), jobs, strict=True))
        assert await _all(queue_of(other)) == []
        await held["b1"].ack()
        assert await _all(queue_of(other)) == []
        await held["a1"].ack()
        (third,) = await _all(queue_of(other))
        assert _told([third]) == ["a3"]
        await third.fail("for good", retry=False)
        assert _told(await _all(queue)) == ["a4"]
        await held["a2"].release()
        assert _told(await _all(queue)) == ["a2"]

    async def test_whoever_waits_is_told_when_a_place_is_free(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", concurrency=1)
        await queue.limit(concurrency=1)
        await _put(queue, "ab")
        job = await claim_one(queue)
        waiting = asyncio.create_task(claim_one(queue_of(other)))
        await asyncio.sleep(SHORT)
        await job.ack()
        assert _told([await waiting]) == ["b1"]

    async def test_the_place_of_a_dead_worker_is_free_when_its_lease_ends(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", concurrency=1)
        await queue.limit(concurrency=1)
        await _put(queue, "ab")
        lost = await claim_one(queue, SHORT)
        assert await _all(queue_of(other)) == []
        job = await claim_one(queue_of(other))
        assert job.id == lost.id or job.attempt == 1
        # The place is one still.
        assert await _all(queue) == []

    async def test_the_place_of_a_cancelled_job_is_free(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", concurrency=1)
        await _put(queue, "aa")
        job = await claim_one(queue)
        assert await queue.cancel(job.id) == "cancelling"
        assert await _all(queue) == []
        await job.fail("told")
        (second,) = await _all(queue)
        assert await queue.cancel(second.id) == "cancelling"
        await second.ack()
        assert await _all(queue) == []

    async def test_delayed_retried_and_revived_jobs_wait_for_their_key(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        await queue.limit(per="key", concurrency=1)
        await queue.put(["a", 2], limit_key="a", delay=SHORT)
        await queue.put(["a", 1], limit_key="a")
        first = await claim_one(queue)
        assert await queue.claim(wait=SHORT * 2) == []
        await first.fail("dies")
        second = await claim_one(queue)
        assert _told([second]) == ["a2"]
        assert await queue.retry_dead() == 1
        assert await _all(queue) == []
        await second.ack()
        assert _told([await claim_one(queue)]) == ["a1"]

    async def test_cancelled_and_replaced_jobs_leave_their_line(self, memory: Memory) -> None:
        queue = queue_of(memory)
        gone = await queue.put(["a", 1], limit_key="a")
        moved = await queue.put(["a", 2], limit_key="a", dedupe="d")
        await queue.put(["b", 1], limit_key="b")
        assert await queue.cancel(gone) == "cancelled"
        again = await queue.put(["c", 1], limit_key="c", dedupe="d", on_duplicate="replace")
        assert again == moved
        status = await queue.status(moved)
        assert status is not None
        assert (status.limit_key, status.payload) == ("c", ["c", 1])
        await queue.put([None, 3], dedupe="d", on_duplicate="earliest", priority=-1)
        assert _told(await _all(queue)) == ["c1", "b1"]

    async def test_a_rate_spaces_the_jobs_of_a_queue(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await queue.limit(rate=10, period=1, burst=1)
        await _put(queue, [None, "a", None, "a"])
        begun = time.monotonic()
        for each in (queue, queue_of(other), queue, queue_of(other)):
            (job,) = await each.claim(2, LONG, wait=LONG)
            await job.ack()
        # Three spaces of 0.1 s each, by the server's clock in milliseconds.
        assert time.monotonic() - begun > 0.29

    async def test_a_burst_of_jobs_may_begin_at_once_after_a_pause(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.limit(rate=10, period=DAY, burst=3)
        await _put(queue, [None] * 5)
        assert len(await queue.claim(2, LONG)) == 2
        assert len(await _all(queue)) == 1
        assert await _all(queue) == []

    async def test_each_key_has_a_rate_of_its_own(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", rate=1, period=DAY)
        await _put(queue, ["a", "a", "b", None, None])
        jobs = await _all(queue)
        assert sorted(_told(jobs)) == ["1", "2", "a1", "b1"]
        for job in jobs:
            await job.ack()
        # Of a key without jobs it is still known.
        await _put(queue_of(other), "bc")
        assert _told(await _all(queue_of(other))) == ["c1"]
        await queue.limit(per="key", rate=20, period=1)
        assert _told(await queue.claim(wait=LONG)) in (["a2"], ["b1"])

    async def test_what_is_over_a_rate_comes_when_its_time_has_come(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", rate=1, period=SHORT)
        await _put(queue, "aaa")
        for number in (1, 2, 3):
            assert _told([await claim_one(queue)]) == [f"a{number}"]

    async def test_a_changed_limit_holds_from_then_on(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await _put(queue, "aaaaaaaa")
        assert len(await queue.claim(2, LONG)) == 2
        # What is claimed already counts.
        await queue_of(other).limit(per="key", concurrency=3)
        (third,) = await _all(queue)
        await queue_of(other).limit(per="key", concurrency=1)
        await third.ack()
        assert await _all(queue) == []
        await queue_of(other).limit(per="key", concurrency=4)
        assert len(await _all(queue)) == 2
        await queue_of(other).limit(concurrency=5)
        await queue_of(other).limit(per="key")
        assert len(await _all(queue)) == 1
        await queue_of(other).limit()
        assert len(await _all(queue)) == 2

    async def test_a_limit_of_a_queue_counts_what_was_claimed_before(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await _put(queue, [None] * 5)
        (job,) = await queue.claim(1, LONG)
        await queue_of(other).limit(concurrency=2)
        assert len(await _all(queue)) == 1
        await job.ack()
        assert len(await _all(queue)) == 1

    async def test_limits_are_told_as_they_were_set(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        assert await queue.limits() == []
        await queue.limit(per="key", rate=100, period=timedelta(minutes=1))
        await queue.limit(concurrency=4, rate=500, period=1)
        await queue_of(memory, "elsewhere").limit(concurrency=1)
        assert await queue_of(other).limits() == [
            Limit("queue", 4, 500, 1.0, 50),
            Limit("key", None, 100, 60.0, 1),
        ]
        await queue.limit()
        assert [limit.per for limit in await queue.limits()] == ["key"]
        with pytest.raises(InvalidArgumentError, match="per"):
            await queue.limit(per="worker")  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidArgumentError, match="burst"):
            await queue.limit(rate=5, burst=6)
        with pytest.raises(InvalidArgumentError, match="rate"):
            await queue.limit(burst=6)

    async def test_keys_and_queues_of_any_name_are_kept_apart(self, memory: Memory) -> None:
        names = ("a", "a:b", "a:b:r", "a b")
        for queue in names:
            await queue_of(memory, queue).limit(per="key", concurrency=1)
            await _put(queue_of(memory, queue), [*names, *names])
        for queue in names:
            jobs = await _all(queue_of(memory, queue))
            assert _told(jobs) == [f"{name}1" for name in names]

    async def test_many_keys_at_their_limit_let_others_through(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.limit(per="key", concurrency=1)
        keys = [f"key-{number}" for number in range(40)]
        await _put(queue, keys * 3)
        jobs = await _all(queue)
        assert len(jobs) == len(keys)
        assert await _all(queue_of(other)) == []
        await jobs[17].ack()
        (job,) = await _all(queue_of(other))
        assert (job.payload[0], job.payload[1]) == (jobs[17].payload[0], 2)
