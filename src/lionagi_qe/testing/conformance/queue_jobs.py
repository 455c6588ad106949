"""Putting jobs and claiming them: order, delays, duplicates, leases, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import NewJob
from lionagi_qe.errors import (
    BatchTooLargeError,
    InvalidArgumentError,
    InvalidValueError,
    ValueTooLargeError,
)
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, Connect
from lionagi_qe.testing.conformance.queue_base import (
    LONG,
    SHORT,
    claim_one,
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
        assert await parts_of(memory).jobs.queues() == sorted(names)

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
            await queue.claim(lease_ttl=seconds)
        with pytest.raises(InvalidArgumentError, match="result_ttl"):
            queue_of(memory, result_ttl=seconds)
        (job,) = await queue.claim()
        with pytest.raises(InvalidArgumentError, match="ttl"):
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
        for call in (queue.claim(0), queue.claim(1, lease_ttl=0), queue.claim(1, wait=-1)):
            with pytest.raises(InvalidArgumentError):
                await call
        assert await queue.claim() == []
