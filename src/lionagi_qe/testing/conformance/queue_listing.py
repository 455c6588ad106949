"""Lists of the jobs in a state: what they show, in which order, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import NewJob
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import LONG, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import WorkQueue
    from lionagi_qe.persistence import Memory

PRIORITIES = (0, 1, 2, -5, 0)
STATES = ("ready", "delayed", "claimed", "done", "dead", "cancelled")


class QueueListingConformance(Conformance):
    """Jobs as a person looks for them."""

    async def test_jobs_are_listed_by_state_page_by_page(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        ready = await queue.put_many([NewJob(at, priority=PRIORITIES[at]) for at in range(5)])
        in_turn = [ready[at] for at in (3, 0, 4, 1, 2)]
        assert await _pages(queue, "ready") == in_turn
        for ending in ("done", "dead", "cancelled"):
            ended = [await _ended(memory, queue, ending, at) for at in range(3)]
            assert await _pages(queue, ending) == ended[::-1]
        later = await queue.put_many([NewJob(at, delay=LONG * (9 - at)) for at in range(3)])
        assert await _pages(queue, "delayed") == later[::-1]
        claimed = [job.id for job in await queue.claim(5, lease_ttl=LONG)]
        await queue.cancel(claimed[0])
        assert sorted(await _pages(queue, "claimed")) == sorted(claimed)
        assert await _pages(queue, "ready") == []
        other = queue_of(memory, "other")
        assert [await _pages(other, state) for state in STATES] == [[]] * len(STATES)

    async def test_ready_jobs_with_limit_keys_are_listed_behind_those_without(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        keys = ("b", None, "ä", "b", None, "a", "b")
        new = [
            NewJob(at, priority=PRIORITIES[at % 5], limit_key=key) for at, key in enumerate(keys)
        ]
        ids = await queue.put_many(new)
        in_turn = [ids[at] for at in (4, 1, 5, 3, 0, 6, 2)]
        assert await _pages(queue, "ready") == in_turn
        page = await queue.jobs("ready", 4)
        assert page.jobs[-1].status.limit_key == "b"
        await queue.cancel(ids[3])
        rest = await queue.jobs("ready", 9, page.after or "")
        assert [each.status.id for each in rest.jobs] == in_turn[4:]

    async def test_a_listed_job_shows_what_it_is_and_when_it_is_due(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put({"file": "ü.py"}, priority=4, delay=LONG)
        (waiting,) = (await queue.jobs("delayed")).jobs
        assert (waiting.status.id, waiting.status.payload) == (job_id, {"file": "ü.py"})
        assert (waiting.status.state, waiting.status.priority) == ("delayed", 4)
        assert waiting.due_at is not None
        assert (waiting.due_at - waiting.status.created_at).total_seconds() == pytest.approx(
            LONG, abs=1
        )
        other = await queue.put("now")
        (ready,) = (await queue.jobs("ready")).jobs
        assert (ready.status.id, ready.due_at) == (other, None)
        (job,) = await queue.claim(lease_ttl=LONG)
        await job.progress({"share": 0.5})
        (claimed,) = (await queue.jobs("claimed")).jobs
        assert (claimed.status.attempts, claimed.status.progress) == (1, {"share": 0.5})
        assert claimed.due_at is not None
        await queue.cancel(other)
        (cancelling,) = (await queue.jobs("claimed")).jobs
        assert cancelling.status.state == "cancelling"
        await job.ack("fine")
        (done,) = (await queue.jobs("done")).jobs
        assert (done.status.result, done.due_at) == ("fine", None)

    async def test_a_payload_is_told_as_it_was_put_whatever_it_looks_like(
        self, memory: Memory
    ) -> None:
        # What trace context is sent in, in front of the payload.
        odd = {"$aqe:headers": {"traceparent": "x"}, "payload": 1}
        queue = queue_of(memory)
        job_id = await queue.put(odd)
        assert [each.status.payload for each in (await queue.jobs("ready")).jobs] == [odd]
        (job,) = await queue.claim(lease_ttl=LONG)
        assert (job.payload, job.headers) == (odd, {})
        assert [each.status.payload for each in (await queue.jobs("claimed")).jobs] == [odd]
        await job.fail("no", retry=False)
        assert [each.payload for each in await queue.dead()] == [odd]
        assert [each.status.payload for each in (await queue.jobs("dead")).jobs] == [odd]
        status = await queue.status(job_id)
        assert status is not None
        assert status.payload == odd

    async def test_a_page_goes_on_where_jobs_left_the_list_meanwhile(self, memory: Memory) -> None:
        queue = queue_of(memory)
        ids = await queue.put_many(range(6))
        first = await queue.jobs("ready", 3)
        assert [each.status.id for each in first.jobs] == ids[:3]
        assert first.after is not None
        await queue.claim(4, lease_ttl=LONG)
        rest = await queue.jobs("ready", 3, first.after)
        assert [each.status.id for each in rest.jobs] == ids[4:]
        assert rest.after is None

    @pytest.mark.parametrize("after", ["x", "1", "x:1", "9" * 30 + ":1"])
    async def test_what_no_page_gave_is_refused(self, memory: Memory, after: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="after"):
            await queue_of(memory).jobs("delayed", after=after)

    async def test_an_unknown_state_is_refused(self, memory: Memory) -> None:
        state: Any = "lost"
        with pytest.raises(InvalidArgumentError, match="ready, delayed"):
            await queue_of(memory).jobs(state)


async def _pages(queue: WorkQueue, state: Any) -> list[str]:
    """Return the ids of all jobs in a state, read two at a time."""
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await queue.jobs(state, 2, after)
        assert len(page.jobs) <= 2
        found += [each.status.id for each in page.jobs]
        after = page.after
    return found


async def _ended(memory: Memory, queue: WorkQueue, ending: str, payload: int) -> str:
    """Return the id of a job that was put and ended in a millisecond of its own."""
    clock = parts_of(memory).bulk.clock
    begun = await clock()

    async def is_later() -> bool:
        return await clock() > begun

    await until(is_later)
    job_id = await queue.put(payload, priority=-9)
    if ending == "cancelled":
        await queue.cancel(job_id)
        return job_id
    (job,) = await queue.claim(lease_ttl=LONG)
    await (job.ack() if ending == "done" else job.fail("broken"))
    return job_id
