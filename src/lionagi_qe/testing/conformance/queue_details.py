"""One job looked at closely: what it waits for, and what it belongs to."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.queue_base import LONG, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import JobDetails, WorkQueue
    from lionagi_qe.persistence import Memory


class QueueDetailsConformance(Conformance):
    """queue.details."""

    async def test_a_job_tells_its_keys_and_when_its_delay_and_its_claim_end(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        delayed = await queue.put(1, delay=2 * LONG, dedupe="cart", limit_key="a")
        found = await _details(queue_of(other), delayed)
        assert (found.status.state, found.dedupe, found.status.limit_key) == (
            "delayed",
            "cart",
            "a",
        )
        assert found.due_at is not None
        assert timedelta(seconds=LONG) < found.due_at - found.status.created_at
        assert (found.batch_id, found.after, found.schedule, found.scheduled_for) == (
            (None, {}, None, None)
        )
        ready = await queue.put(2)
        assert (await _details(queue, ready)).due_at is None
        (job,) = await queue.claim(lease_ttl=LONG)
        claimed = await _details(queue, ready)
        assert claimed.due_at is not None
        await job.fail("broken", retry=False)
        dead = await _details(queue, ready)
        assert (dead.status.state, dead.status.error, dead.due_at) == ("dead", "broken", None)
        assert await queue.cancel(delayed) == "cancelled"
        cancelled = await _details(queue, delayed)
        assert cancelled.due_at is not None, "when it is forgotten"
        assert await queue.details("unknown") is None
        assert await queue_of(memory, "elsewhere").details(ready) is None

    async def test_a_job_tells_what_it_comes_after_and_its_batch(self, memory: Memory) -> None:
        queue = queue_of(memory)
        fine, broken = await queue.put_many(["fine", "broken"])
        behind = await queue.put("behind", after=[broken, fine])
        assert (await _details(queue, behind)).after == {fine: "waiting", broken: "waiting"}
        for job in await queue.claim(2):
            if job.payload == "fine":
                await job.ack("result")
            else:
                await job.fail("broken", retry=False)
        found = await _details(queue, behind)
        assert (found.status.state, found.after) == ("dead", {fine: "done", broken: "failed"})
        batch = await queue.batch(["in it"], then="callback")
        (member,) = [each.id for each in await batch.jobs()]
        assert (await _details(queue, member)).batch_id == batch.id
        assert (await _details(queue, batch.id)).batch_id == batch.id

    async def test_a_job_tells_which_schedule_put_it_when(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.schedule("other", cron="0 0 29 2 *")
        await queue.schedule("tick", cron="* * * * * *", overlap="skip")
        async with aclosing(queue.consume()) as jobs:
            job = await anext(jobs)
            found = await _details(queue, job.id)
            assert (found.schedule, found.scheduled_for) == ("tick", job.scheduled_for)
            assert found.dedupe is None, "nobody put it with one"
            await queue.unschedule("tick")
            found = await _details(queue, job.id)
            assert (found.schedule, found.scheduled_for) == (None, job.scheduled_for)


async def _details(queue: WorkQueue, job_id: str) -> JobDetails:
    found = await queue.details(job_id)
    assert found is not None
    return found
