"""Periodic jobs: each time put once, whoever sees to it, and what changing a schedule does."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import LONG, claim_one, queue_of

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job, WorkQueue
    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.calls.jobs import JobCalls

EACH_SECOND = "* * * * * *"
NEVER_NOW = "0 0 29 2 *"


async def _take(queue: WorkQueue, most: int) -> list[Job]:
    """Consume a queue until it gave ``most`` jobs, and end them."""
    taken: list[Job] = []
    async with aclosing(queue.consume()) as jobs:
        async for job in jobs:
            taken.append(job)
            await job.ack()
            if len(taken) == most:
                break
    return taken


def _put(**changed: Any) -> PutSchedule:
    return replace(PutSchedule("jobs", "tick", "rule", "spec", "version 1"), **changed)


async def _fire(calls: JobCalls, job_ids: list[str], **changed: Any) -> Fire:
    """Return what fires the one schedule that there is, as it is now."""
    while True:
        found = await calls.read_schedules("jobs")
        (record,) = found.records
        if found.now_ms > record.fired_to_ms:
            break
        await asyncio.sleep(0.001)
    return replace(Fire("jobs", record, found.now_ms, job_ids, b"7", 0, 3), **changed)


class QueueSchedulesConformance(Conformance):
    """schedule, unschedule, schedules, and their firing."""

    async def test_consumers_put_what_is_due_once_for_each_time(
        self, memory: Memory, other: Memory
    ) -> None:
        queues = [queue_of(memory), queue_of(other)]
        before = datetime.now(UTC) - timedelta(seconds=LONG)
        await queues[0].schedule("tick", cron=EACH_SECOND, payload={"n": 1}, priority=-3)
        await queues[0].schedule("yearly", cron=NEVER_NOW)
        taken = [
            job
            for jobs in await asyncio.gather(*(_take(each, 1) for each in queues))
            for job in jobs
        ]
        times = {job.scheduled_for for job in taken}
        assert len(times) == len(taken)
        for job in taken:
            assert (job.payload, job.priority, job.attempt) == ({"n": 1}, -3, 1)
            assert job.scheduled_for is not None
            assert before < job.scheduled_for <= job.created_at + timedelta(seconds=1)
        await queues[1].put("by hand")
        (by_hand,) = [job for job in await queues[1].claim(50) if job.payload == "by hand"]
        assert by_hand.scheduled_for is None

    async def test_without_a_consumer_nothing_is_put(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.schedule("tick", cron=EACH_SECOND)
        assert await queue.claim(wait=2.1) == []
        (schedule,) = await queue.schedules()
        assert (await queue.stats()).ready == 0
        (job,) = await _take(queue, 1)
        assert job.scheduled_for is not None
        # Of those that were missed, the last one alone.
        assert schedule.next_at is not None
        assert job.scheduled_for > schedule.next_at

    async def test_schedules_are_listed_by_name_with_their_next_time(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=2)
        await queue.schedule(
            "nightly", cron=" 0 3  * * * ", timezone="Europe/Oslo", payload=[1], missed="skip"
        )
        await queue.schedule("a b:c\u00e9", cron=NEVER_NOW, priority=4)
        await queue_of(memory, "elsewhere").schedule("nightly", cron=EACH_SECOND)
        first, second = await queue_of(other).schedules()
        assert (first.name, first.cron, first.priority) == ("a b:c\u00e9", NEVER_NOW, 4)
        assert (first.payload, first.timezone, first.missed) == (None, "UTC", "once")
        assert first.next_at is not None
        assert (first.next_at.month, first.next_at.day) == (2, 29)
        assert (second.name, second.cron, second.timezone) == (
            "nightly",
            "0 3 * * *",
            "Europe/Oslo",
        )
        assert (second.payload, second.missed, second.max_attempts) == ([1], "skip", 2)
        assert second.next_at is not None
        assert second.next_at.minute == 0

    async def test_an_unscheduled_job_is_put_no_more(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        await queue.schedule("tick", cron=EACH_SECOND)
        await queue.schedule("kept", cron=NEVER_NOW)
        assert await queue_of(other).unschedule("tick")
        assert not await queue.unschedule("tick")
        assert not await queue_of(memory, "elsewhere").unschedule("kept")
        assert [schedule.name for schedule in await queue.schedules()] == ["kept"]
        marker = await queue.put("marker", delay=1.5)
        assert [job.id for job in await _take(queue, 1)] == [marker]

    async def test_what_cannot_be_read_is_refused(self, memory: Memory) -> None:
        queue = queue_of(memory)
        wrong: list[dict[str, Any]] = [
            {"cron": "61 * * * *"},
            {"cron": "* * * *"},
            {"cron": EACH_SECOND, "timezone": "Mars/Olympus"},
            {"cron": EACH_SECOND, "missed": "twice"},
            {"cron": EACH_SECOND, "overlap": "sometimes"},
            {"cron": EACH_SECOND, "overlap": "skip", "missed": "all"},
        ]
        for settings in wrong:
            with pytest.raises(InvalidArgumentError):
                await queue.schedule("tick", **settings)
        assert await queue.schedules() == []

    async def test_of_many_that_fire_the_first_puts_the_jobs(
        self, memory: Memory, other: Memory
    ) -> None:
        calls = [parts_of(memory).jobs, parts_of(other).jobs]
        await calls[0].put_schedule(_put())
        fire = await _fire(calls[0], ["b", "a"])
        fired = await asyncio.gather(*(calls[at % 2].fire(fire) for at in range(20)))
        assert sorted(fired) == [False] * 19 + [True]
        jobs = await queue_of(other).claim(10)
        assert [(job.id, job.payload, job.max_attempts) for job in jobs] == [
            ("b", 7, 3),
            ("a", 7, 3),
        ]
        (record,) = (await calls[1].read_schedules("jobs")).records
        assert record.fired_to_ms == fire.now_ms

    async def test_a_waiting_worker_is_told_of_what_is_fired(
        self, memory: Memory, other: Memory
    ) -> None:
        calls = parts_of(memory).jobs
        await calls.put_schedule(_put())
        waiting = asyncio.create_task(claim_one(queue_of(other)))
        assert await calls.fire(await _fire(calls, ["a"]))
        assert (await waiting).id == "a"

    async def test_the_server_decides_whether_it_is_time(self, memory: Memory) -> None:
        calls = parts_of(memory).jobs
        await calls.put_schedule(_put())
        early = await _fire(calls, ["a"])
        assert not await calls.fire(replace(early, now_ms=early.now_ms + 60_000))
        assert await queue_of(memory).claim() == []
        assert await calls.fire(early)

    async def test_one_that_cannot_be_read_here_hides_and_stops_no_other(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        await queue.schedule("tick", cron=EACH_SECOND)
        rule = json.dumps({"cron": "0 3 * * *", "timezone": "Mars/Olympus"})
        spec = json.dumps({"payload": "1", "priority": 0, "missed": "once", "max_attempts": 3})
        await parts_of(memory).jobs.put_schedule(_put(name="elsewhere", rule=rule, spec=spec))
        assert await _take(queue, 1)
        broken, sound = await queue.schedules()
        assert (broken.name, broken.next_at, sound.problem) == ("elsewhere", None, None)
        assert "Mars/Olympus" in str(broken.problem)
        assert sound.next_at is not None

    async def test_one_that_is_done_with_times_to_come_begins_now_and_no_other(
        self, memory: Memory
    ) -> None:
        calls = parts_of(memory).jobs
        await calls.put_schedule(_put())
        fire = await _fire(calls, [])
        record = fire.record
        assert not await calls.restart_schedule("jobs", record, 0), "it is of now, as most are"
        other = replace(record, version="version 2")
        hour_ago = -3_600_000
        assert not await calls.restart_schedule("jobs", other, hour_ago)
        moved = replace(record, fired_to_ms=record.fired_to_ms - 1)
        assert not await calls.restart_schedule("jobs", moved, hour_ago)
        assert not await calls.restart_schedule("elsewhere", record, hour_ago)
        assert await calls.restart_schedule("jobs", record, hour_ago)
        found = await calls.read_schedules("jobs")
        (begun,) = found.records
        assert record.fired_to_ms < begun.fired_to_ms <= found.now_ms
        assert (begun.version, begun.spec, begun.rule) == (record.version, "spec", "rule")

    async def test_a_time_that_was_put_before_is_not_put_again(self, memory: Memory) -> None:
        calls = parts_of(memory).jobs
        await calls.put_schedule(_put())
        assert await calls.fire(await _fire(calls, ["a"]))
        assert await calls.fire(await _fire(calls, ["a", "b"], payload=b"8"))
        jobs = await queue_of(memory).claim(10)
        assert [(job.id, job.payload) for job in jobs] == [("a", 7), ("b", 8)]
        # Not even once it is done.
        await jobs[0].ack()
        assert await calls.fire(await _fire(calls, ["a"]))
        assert await queue_of(memory).claim() == []

    async def test_of_jobs_that_may_not_overlap_none_is_put_beside_an_unended_one(
        self, memory: Memory, other: Memory
    ) -> None:
        queue, calls = queue_of(memory, max_attempts=2), parts_of(memory).jobs
        await calls.put_schedule(_put())

        async def fire(job_id: str, *, skip: bool = True) -> list[str]:
            """Fire for a further time; return what is ready then."""
            found = await _fire(calls, [job_id], dedupe="schedule\ntick" if skip else None)
            found = replace(found, max_attempts=1)
            assert await parts_of(other).jobs.fire(found)
            (record,) = (await calls.read_schedules("jobs")).records
            assert record.fired_to_ms == found.now_ms
            return [each.status.id for each in (await queue.jobs("ready")).jobs]

        assert await fire("a") == ["a"]
        assert await fire("b") == ["a"]
        job = await claim_one(queue)
        assert await fire("c") == []
        assert await fire("d", skip=False) == ["d"]
        await (await claim_one(queue)).ack()
        await job.ack()
        assert await fire("e") == ["e"]
        await (await claim_one(queue)).fail("broken")
        assert await fire("f") == ["f"]
        # It would be beside that one.
        assert await queue.retry_dead(["e"]) == 0
        await queue.cancel("f")
        assert await queue.retry_dead(["e"]) == 1
        assert await fire("g") == ["e"]

    async def test_a_job_that_runs_on_is_skipped_by_its_schedule(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.schedule("tick", cron=EACH_SECOND, overlap="skip")
        (schedule,) = await queue.schedules()
        assert schedule.overlap == "skip"
        async with aclosing(queue.consume(2)) as jobs:
            first = await anext(jobs)
            following = asyncio.ensure_future(anext(jobs))

            async def is_skipped() -> bool:
                (schedule,) = await queue.schedules()
                assert first.scheduled_for is not None
                assert schedule.next_at is not None
                return schedule.next_at > first.scheduled_for + timedelta(seconds=1)

            await until(is_skipped)
            assert (await queue.stats()).ready == 0
            assert not following.done()
            await first.ack()
            second = await following
            assert second.scheduled_for is not None
            assert schedule.next_at is not None
            assert second.scheduled_for > schedule.next_at
            await second.ack()

    async def test_a_schedule_goes_on_or_begins_anew_as_its_rule_says(self, memory: Memory) -> None:
        calls = parts_of(memory).jobs

        async def fired_to(put: PutSchedule) -> int:
            await calls.put_schedule(put)
            (record,) = (await calls.read_schedules("jobs")).records
            return record.fired_to_ms

        begun = await fired_to(_put())
        stale = await _fire(calls, ["a"])
        # The same again is no change; another payload goes on; another rule begins now.
        assert await fired_to(_put(version="version 2")) == begun
        assert (await _fire(calls, [])).record == stale.record
        assert await fired_to(_put(spec="other", version="version 3")) == begun
        assert not await calls.fire(stale)
        await asyncio.sleep(0.01)
        assert await fired_to(_put(rule="other", version="version 4")) > begun
        assert await queue_of(memory).claim() == []

    async def test_a_schedule_that_is_gone_does_not_fire(self, memory: Memory) -> None:
        calls = parts_of(memory).jobs
        await calls.put_schedule(_put())
        stale = await _fire(calls, ["a"])
        assert await calls.remove_schedule("jobs", "tick")
        assert not await calls.fire(stale)
        assert await queue_of(memory).claim() == []
        assert (await calls.read_schedules("jobs")).records == []
