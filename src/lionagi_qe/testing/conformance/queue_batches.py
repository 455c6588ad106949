"""Batches: when their callbacks are called, what they are told, what changes them meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import NewJob
from lionagi_qe.errors import (
    BatchEndedError,
    BatchTooLargeError,
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
)
from lionagi_qe.persistence.contract.job_batches import InBatch
from lionagi_qe.persistence.contract.jobs import EndJob, PutJob
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import LONG, SHORT, claim_one, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import Batch, Job, WorkQueue
    from lionagi_qe.persistence import Memory


async def _counts(batch: Batch) -> tuple[str, int, int, int, int]:
    """Return the callback's state, then how many are pending, done, dead and cancelled."""
    found = await batch.progress()
    assert found.total == found.pending + found.done + found.dead + found.cancelled
    return found.state, found.pending, found.done, found.dead, found.cancelled


async def _outcomes(batch: Batch) -> dict[str, Any]:
    return {each.id: each.result or each.error async for each in batch.results()}


async def _add_in_step(memory: Memory, job: Job, payloads: list[Any]) -> None:
    async with memory.transaction() as step:
        batch = queue_of(memory).get_batch(job.batch_id or "")
        await batch.add(payloads, transaction=step)
        await job.ack("parent", transaction=step)


async def _end_all(queue: WorkQueue) -> list[Any]:
    """End what is ready, and what becomes so; return the payloads in their order."""
    payloads: list[Any] = []
    while jobs := await queue.claim(50, LONG):
        payloads += [job.payload for job in jobs]
        await asyncio.gather(*(job.ack(job.payload) for job in jobs))
    return payloads


class QueueBatchesConformance(Conformance):
    """batch, get_batch, batches, and what a Batch does."""

    async def test_a_callback_is_called_once_all_of_its_batch_have_ended(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        batch = await queue.batch([0, 1, 2], then=NewJob("call", priority=-5))
        assert await _counts(batch) == ("waiting", 3, 0, 0, 0)
        seen = queue_of(other).get_batch(batch.id)
        jobs = await queue_of(other).claim(5, LONG)
        assert [(job.payload, job.batch_id, job.headers) for job in jobs] == [
            (at, batch.id, {}) for at in range(3)
        ]
        for at, job in enumerate(jobs[:2]):
            await job.ack(f"result {job.payload}")
            assert await _counts(seen) == ("waiting", 2 - at, at + 1, 0, 0)
        assert await queue.claim(5) == []
        waiting = asyncio.create_task(queue.claim(5, LONG, wait=LONG))
        await jobs[2].ack("result 2")
        (call,) = await waiting
        assert (call.id, call.payload, call.priority, call.batch_id) == (
            batch.id,
            "call",
            -5,
            batch.id,
        )
        assert list((await _outcomes(seen)).values()) == ["result 0", "result 1", "result 2"]
        await call.ack("called")
        assert await queue.result(batch.id, LONG) == "called"
        assert await _counts(seen) == ("done", 0, 3, 0, 0)
        assert len(await _outcomes(seen)) == 3
        assert await queue.claim(5) == []

    async def test_jobs_of_a_batch_are_read_in_pages(self, memory: Memory) -> None:
        queue = queue_of(memory)
        batch = await queue.batch(range(5), then=None)
        first = await claim_one(queue)
        await first.ack("first")
        page = await batch.jobs(2)
        assert [(each.id, each.state, each.result) for each in page[:1]] == [
            (first.id, "done", "first")
        ]
        rest = await batch.jobs(10, page[-1].id)
        ids = [each.id for each in page + rest]
        assert (len(ids), ids) == (5, sorted(ids))
        assert {each.state for each in rest} == {"pending"}
        assert await queue_of(memory, "other").get_batch(batch.id).jobs() == []

    async def test_of_many_that_end_at_once_the_last_calls_once(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        for _ in range(3):
            batch = await queue.batch(range(20), then="call")
            jobs = await queue.claim(10, LONG) + await queue_of(other).claim(10, LONG)
            await asyncio.gather(*(job.ack(job.payload) for job in jobs))
            assert (await claim_one(queue)).id == batch.id
            assert await queue.claim(5) == []
            assert await _counts(batch) == ("claimed", 0, 20, 0, 0)

    async def test_an_acknowledgement_that_is_repeated_counts_once(self, memory: Memory) -> None:
        queue, calls = queue_of(memory), parts_of(memory).jobs
        batch = await queue.batch([1, 2], then="call")
        (job, _) = await queue.claim(2, LONG)
        ack = EndJob(queue.name, job.id, 1, "ack", b"1", int(LONG * 1_000))
        for _ in range(3):
            assert await calls.write(ack) == "done"
        assert await _counts(batch) == ("waiting", 1, 1, 0, 0)

    async def test_a_put_that_is_repeated_counts_once(self, memory: Memory) -> None:
        queue, calls = queue_of(memory), parts_of(memory).jobs
        batch = await queue.batch([1], then="call")
        puts = [
            PutJob(queue.name, "2", b"2", batch=InBatch(batch.id, 2)),
            PutJob(queue.name, "3", b"3", batch=InBatch(batch.id)),
        ]
        for _ in range(2):
            assert await calls.put_many(puts) == [put.job_id for put in puts]
        assert await _counts(batch) == ("waiting", 3, 0, 0, 0)
        assert await _end_all(queue) == [1, 2, 3, "call"]
        # Nor is it when the batch is over.
        assert await calls.put_many(puts) == [put.job_id for put in puts]
        with pytest.raises(BatchEndedError):
            await calls.put_many([replace(put, job_id=f"{put.job_id}0") for put in puts])
        assert (await queue.stats()).ready == 0

    async def test_a_job_that_is_tried_again_is_pending_meanwhile(self, memory: Memory) -> None:
        queue = queue_of(memory)
        batch = await queue.batch([1], then="call")
        job = await claim_one(queue)
        assert await job.fail("once more")
        await (await claim_one(queue)).release()
        await queue.claim(1, SHORT)
        assert await _counts(batch) == ("waiting", 1, 0, 0, 0)
        again = await claim_one(queue)
        assert (again.id, again.attempt, again.batch_id) == (job.id, 3, batch.id)
        await again.ack()
        assert (await claim_one(queue)).id == batch.id

    async def test_where_all_must_succeed_a_dead_job_is_the_callbacks_end(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        batch = await queue.batch([0, 1, 2], then="call")
        behind = await queue.put("behind", after=[batch.id])
        jobs = await queue.claim(5, LONG)
        await jobs[0].fail("broken")
        # Decided once the others have ended, too: it may be tried again before.
        assert await _counts(batch) == ("waiting", 2, 0, 1, 0)
        await jobs[1].ack("sound")
        await queue.cancel(jobs[2].id)
        await jobs[2].fail("told")
        assert await _counts(batch) == ("dead", 0, 1, 1, 1)
        with pytest.raises(JobFailedError, match="1 are dead, 1 cancelled, 1 done"):
            await queue.result(batch.id, LONG)
        fallen = await queue.status(behind)
        assert fallen is not None
        assert (fallen.state, batch.id in fallen.error) == ("dead", True)
        assert await _outcomes(batch) == dict(
            zip([job.id for job in jobs], ["broken", "sound", "told"], strict=True)
        )
        assert await queue.retry_dead([batch.id]) == 0
        with pytest.raises(BatchEndedError):
            await batch.add([4])

    async def test_a_dead_job_that_is_retried_gives_its_batch_another_chance(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        batch = await queue.batch([0, 1], then="call")
        for job in await queue.claim(2, LONG):
            await job.fail("broken")
        assert (await _counts(batch))[0] == "dead"
        first, second = [each.id for each in await batch.jobs()]
        assert await queue.retry_dead([first]) == 1
        assert await _counts(batch) == ("waiting", 1, 0, 1, 0)
        await (await claim_one(queue)).ack("better")
        assert await _counts(batch) == ("dead", 0, 1, 1, 0)
        assert await queue.retry_dead() >= 1
        await (await claim_one(queue)).ack("better")
        call = await claim_one(queue)
        assert (call.id, set((await _outcomes(batch)).values())) == (batch.id, {"better"})
        # A callback that failed itself is tried again as any job.
        await call.fail("broken")
        assert await queue.retry_dead([batch.id, second]) == 1
        assert (await claim_one(queue)).id == batch.id

    async def test_with_all_done_it_is_called_however_they_ended(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        batch = await queue.batch([0, 1, 2], then="call", when="all-done")
        cancelled, dead, done = [each.id for each in await batch.jobs()]
        assert await queue.cancel(cancelled) == "cancelled"
        for job in await queue.claim(5, LONG):
            await (job.fail("broken") if job.id == dead else job.ack("sound"))
        call = await claim_one(queue)
        assert call.id == batch.id
        found = {each.id: (each.state, each.result, each.error) for each in await batch.jobs()}
        assert found == {
            cancelled: ("cancelled", None, None),
            dead: ("dead", None, "broken"),
            done: ("done", "sound", None),
        }
        await call.ack()
        # It was called: what is done afterwards counts, and calls nobody again.
        assert await queue.retry_dead([dead]) == 1
        assert await _counts(batch) == ("done", 1, 1, 0, 1)
        assert await _end_all(queue) == [1]
        assert await _counts(batch) == ("done", 0, 2, 0, 1)

    async def test_the_last_job_of_a_batch_calls_however_it_ends(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        batch = await queue.batch([0], then="call", when="all-done")
        await queue.claim(1, SHORT)
        # Its worker died.
        (call,) = await queue.claim(1, LONG, wait=LONG)
        assert call.id == batch.id
        ((lost,)) = await batch.jobs()
        assert (lost.state, "lease" in lost.error) == ("dead", True)
        batch = await queue.batch([NewJob(0, delay=LONG)], then="call", when="all-done")
        (only,) = await batch.jobs()
        waiting = asyncio.create_task(claim_one(queue_of(memory)))
        await queue.cancel(only.id)
        assert (await waiting).id == batch.id

    async def test_what_falls_with_another_counts_in_its_batch(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        before = await queue.put("before")
        jobs = [NewJob(at, after=[before]) for at in range(3)]
        batch = await queue.batch([*jobs, 3], then="call", when="all-done")
        assert await _counts(batch) == ("waiting", 4, 0, 0, 0)
        first, last = await queue.claim(5, LONG)
        await first.fail("broken")
        assert await _counts(batch) == ("waiting", 1, 0, 3, 0)
        assert await batch.add([NewJob(4, after=[before])])
        assert await _counts(batch) == ("waiting", 1, 0, 4, 0)
        await last.ack()
        assert (await claim_one(queue)).id == batch.id
        # All of them fell before they were put.
        fallen = await queue.batch(jobs, then="call")
        assert await _counts(fallen) == ("dead", 0, 0, 3, 0)
        assert await queue.retry_dead() >= 4
        assert await _counts(fallen) == ("waiting", 3, 0, 0, 0)

    async def test_a_running_job_adds_to_its_batch(self, memory: Memory) -> None:
        queue = queue_of(memory)
        batch = await queue.batch(["parent"], then="call")
        parent = await claim_one(queue)
        await _add_in_step(memory, parent, ["child", NewJob("first", priority=-1)])
        assert await _counts(batch) == ("waiting", 2, 1, 0, 0)
        child = await claim_one(queue)
        assert (child.payload, child.batch_id) == ("first", batch.id)
        added = await batch.add(["grandchild"])
        await child.ack()
        assert await _end_all(queue) == ["child", "grandchild", "call"]
        assert await _counts(batch) == ("done", 0, 4, 0, 0)
        assert added[0] in await _outcomes(batch)
        with pytest.raises(BatchEndedError, match=batch.id):
            await batch.add(["late"])
        assert await batch.add([]) == []

    async def test_a_batch_is_cancelled_with_all_that_has_not_ended(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        batch = await queue.batch(range(6), then="call", when="all-done")
        done, running = await queue.claim(2, LONG)
        await done.ack("done")
        found = await queue_of(other).get_batch(batch.id).cancel()
        assert (found.state, found.pending, found.done, found.cancelled) == ("cancelled", 1, 1, 4)
        with pytest.raises(BatchEndedError):
            await batch.add([7])
        await running.fail("told")
        assert await _counts(batch) == ("cancelled", 0, 1, 0, 5)
        with pytest.raises(JobCancelledError):
            await queue.result(batch.id, LONG)
        assert await queue.claim(5) == []
        assert await batch.cancel() == await batch.progress()

    async def test_where_all_must_succeed_a_cancelled_job_is_the_callbacks_end(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        batch = await queue.batch([0, 1], then="call")
        (first, _) = await batch.jobs()
        await queue.cancel(first.id)
        assert await _end_all(queue) == [1]
        assert await _counts(batch) == ("cancelled", 0, 1, 0, 1)

    async def test_an_empty_batch_calls_at_once(self, memory: Memory) -> None:
        queue = queue_of(memory)
        batch = await queue.batch([], then="call")
        assert await _counts(batch) == ("ready", 0, 0, 0, 0)
        assert await _end_all(queue) == ["call"]

    async def test_batches_are_listed_the_newest_first(self, memory: Memory) -> None:
        queue = queue_of(memory)
        made = [(await queue.batch([at], then="call")).id for at in range(3)]
        await queue_of(memory, "other").batch([1], then="call")
        newest = sorted(made, reverse=True)
        assert [each.id for each in await queue.batches()] == newest
        first = await queue.batches(2)
        rest = await queue.batches(2, first[-1].id)
        assert [each.id for each in first + rest] == newest
        assert (first[0].total, first[0].when, first[0].state) == (1, "all-succeeded", "waiting")

    async def test_a_batch_is_forgotten_with_its_callback(self, memory: Memory) -> None:
        queue = queue_of(memory, result_ttl=SHORT)
        batch = await queue.batch([1], then="call")
        await (await claim_one(queue)).ack("kept")
        # Its results are, whatever result_ttl.
        await asyncio.sleep(SHORT)
        call = await claim_one(queue)
        assert list((await _outcomes(batch)).values()) == ["kept"]
        await call.ack()

        async def is_forgotten() -> bool:
            await memory.cleanup_expired()
            return await queue.batches() == [] and await batch.jobs() == []

        await until(is_forgotten)
        with pytest.raises(JobNotFoundError, match=batch.id):
            await batch.progress()
        with pytest.raises(JobNotFoundError):
            await batch.cancel()

    async def test_what_is_no_batch_is_refused(self, memory: Memory) -> None:
        queue = queue_of(memory)
        refused: list[dict[str, Any]] = [
            {"payloads": [NewJob(1, dedupe="k")]},
            {"then": NewJob("call", delay=5)},
            {"then": NewJob("call", limit_key="k")},
            {"when": "sometimes"},
            {"payloads": [NewJob(1, after=["unknown"])], "error": JobNotFoundError},
            {"payloads": [1] * (memory.max_batch + 1), "error": BatchTooLargeError},
        ]
        for arguments in refused:
            error = arguments.pop("error", InvalidArgumentError)
            defaults: dict[str, Any] = {"payloads": [1], "then": "call"}
            with pytest.raises(error):
                await queue.batch(**(defaults | arguments))
        assert (await queue.stats(), await queue.batches()) == (
            await queue_of(memory, "other").stats(),
            [],
        )
