"""Jobs whose payloads have a type: those that fit are of it, the others fail by themselves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from pydantic import BaseModel, field_validator

from lionagi_qe.coordination import Job, WorkQueue
from lionagi_qe.errors import InvalidArgumentError, JobFailedError
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.queue_base import LONG, at_once

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


@dataclass
class Review:
    """What a job asks for."""

    file: str
    lines: int = 0


class _Picky(BaseModel):
    file: str

    @field_validator("file")
    @classmethod
    def known(cls, file: str) -> str:
        return {"a.py": file}[file]


class QueuePayloadConformance(Conformance):
    """``payload_type`` of a queue."""

    async def test_payloads_are_of_the_queues_type(self, memory: Memory, other: Memory) -> None:
        typed = WorkQueue(other, "typed", payload_type=Review)
        await WorkQueue(memory, "typed").put_many([{"file": "a.py"}, Review("b.py", 3)])
        jobs = await typed.claim(2)
        assert_type(jobs, list[Job[Review]])
        assert [job.payload for job in jobs] == [Review("a.py"), Review("b.py", 3)]
        for job in jobs:
            await job.ack(job.payload)
        assert await typed.result(jobs[0].id) == {"file": "a.py", "lines": 0}

    async def test_without_a_type_payloads_are_json_data(self, memory: Memory) -> None:
        queue = WorkQueue(memory, "plain")
        await queue.put(Review("a.py"))
        (job,) = await queue.claim()
        assert job.payload == {"file": "a.py", "lines": 0}
        await job.ack()

    async def test_a_payload_that_does_not_fit_is_dead_after_its_attempts(
        self, memory: Memory
    ) -> None:
        queue = WorkQueue(memory, "odd", max_attempts=2, backoff=at_once, payload_type=Review)
        bad = await queue.put({"file": 5, "lines": "secret"})
        good = await queue.put({"file": "a.py"})
        # One that does not fit is no reason to tell that there is none.
        (job,) = await queue.claim()
        assert (job.id, job.payload) == (good, Review("a.py"))
        await job.ack()
        assert await queue.claim() == []
        (dead,) = await queue.dead()
        assert (dead.id, dead.attempts, dead.payload) == (bad, 2, {"file": 5, "lines": "secret"})
        assert "InvalidValueError: payload: the stored value is not a Review: file: " in dead.error
        with pytest.raises(JobFailedError, match="not a Review"):
            await queue.result(bad)
        # Who knows what it is may do it still.
        assert await queue.retry_dead([bad]) == 1
        (revived,) = await WorkQueue(memory, "odd").claim()
        assert revived.payload == {"file": 5, "lines": "secret"}
        await revived.ack()

    async def test_workers_go_on_after_payloads_that_do_not_fit(self, memory: Memory) -> None:
        queue = WorkQueue(memory, "odd", max_attempts=1, payload_type=_Picky)
        done: list[str] = []

        async def note(job: Job[_Picky]) -> None:
            done.append(job.payload.file)

        working = asyncio.create_task(queue.work(note, concurrency=2, signals=()))
        bad: list[Any] = [None, {}, {"file": "raises KeyError"}, [1], "text"]
        await queue.put_many(bad)
        last = await queue.put({"file": "a.py"})
        await queue.result(last, timeout=LONG)
        queue.stop()
        await working
        assert done == ["a.py"]
        assert len(await queue.dead()) == len(bad)

    async def test_payloads_of_any_type_that_pydantic_validates(self, memory: Memory) -> None:
        queue = WorkQueue(memory, "lists", payload_type=list[int])
        await queue.put([1, 2])
        async for job in queue.consume():
            assert_type(job, Job[list[int]])
            assert job.payload == [1, 2]
            await job.ack()
            break

    async def test_a_type_that_pydantic_does_not_know_is_refused(self, memory: Memory) -> None:
        odd: Any
        for odd in (5, "no such type", asyncio.Event, object()):
            with pytest.raises(InvalidArgumentError, match="payload_type"):
                WorkQueue(memory, "odd", payload_type=odd)
