"""Jobs that come after others: when they are ready, what they are given, what they fall with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import NewJob
from lionagi_qe.errors import (
    InvalidArgumentError,
    JobCancelledError,
    JobFailedError,
    JobNotFoundError,
)
from lionagi_qe.persistence.contract.dependencies import MAX_AFTER, MOST_FALLEN
from lionagi_qe.persistence.contract.jobs import EndJob
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, until
from lionagi_qe.testing.conformance.queue_base import LONG, SHORT, claim_one, queue_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.coordination import WorkQueue
    from lionagi_qe.persistence import Memory


async def _states(queue: WorkQueue, ids: Sequence[str]) -> list[str]:
    found = await asyncio.gather(*map(queue.status, ids))
    return ["unknown" if each is None else each.state for each in found]


async def _error(queue: WorkQueue, job_id: str) -> str:
    found = await queue.status(job_id)
    assert found is not None
    return str(found.error)


async def _put_together(memory: Memory, before: str) -> None:
    queue = queue_of(memory)
    async with memory.transaction() as step:
        await queue.put("with", transaction=step)
        await queue.put("after", after=[before], transaction=step)


class QueueDependenciesConformance(Conformance):
    """put(after=), chain, job.results."""

    async def test_a_job_waits_for_all_that_it_comes_after_and_gets_their_results(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        first, second = await queue.put_many(["first", "second"])
        last = await queue.put("last", after=[second, first], priority=-5)
        assert await _states(queue, [first, second, last]) == ["ready", "ready", "waiting"]
        stats = await queue.stats()
        assert (stats.ready, stats.waiting) == (2, 1)
        one, two = await queue_of(other).claim(5, LONG)
        await one.ack({"of": "first"})
        assert await queue.claim(5) == []
        waiting = asyncio.create_task(queue.claim(5, LONG, wait=LONG))
        await two.ack(None)
        (job,) = await waiting
        assert (job.id, job.payload) == (last, "last")
        assert await job.results() == {first: {"of": "first"}, second: None}
        await job.release()
        (again,) = await queue.claim(5, LONG)
        assert await again.results() == {first: {"of": "first"}, second: None}
        await again.ack("all")
        assert await queue.result(last, LONG) == "all"
        assert await again.results() == {}

    async def test_what_is_done_already_is_waited_for_no_more(self, memory: Memory) -> None:
        queue = queue_of(memory)
        first = await queue.put(1)
        await (await claim_one(queue)).ack("done")
        last = await queue.put(2, after=[first, first])
        job = await claim_one(queue)
        assert (job.id, await job.results()) == (last, {first: "done"})

    async def test_results_stay_with_who_waits_when_their_own_time_is_over(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, result_ttl=SHORT)
        first, second = await queue.put_many([1, 2])
        await queue.put(3, after=[first, second])
        one, two = await queue.claim(2, LONG)
        await one.ack("kept")

        async def is_forgotten() -> bool:
            return await queue.status(first) is None

        await until(is_forgotten)
        await two.ack("fresh")
        job = await claim_one(queue)
        assert await job.results() == {first: "kept", second: "fresh"}
        with pytest.raises(JobNotFoundError, match=first):
            await queue.put(4, after=[first])

    async def test_a_chain_is_done_in_its_order(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        ids = await queue.chain([1, NewJob(2, priority=-9), 3])
        assert await _states(queue, ids) == ["ready", "waiting", "waiting"]
        done: list[Any] = []
        for _ in ids:
            (job,) = await queue_of(other).claim(3, LONG)
            done.append((job.payload, list((await job.results()).values())))
            await job.ack(job.payload * 10)
        assert done == [(1, []), (2, [10]), (3, [20])]

    async def test_what_comes_after_a_dead_job_is_dead_and_all_wait_again_when_revived(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        first, second, third = await queue.chain([1, 2, 3])
        beside = await queue.put(4)
        both = await queue.put(5, after=[beside, third])
        job, sound = await queue.claim(5, LONG)
        await job.fail("broken")
        assert await _states(queue, [first, second, third, both]) == ["dead"] * 4
        assert await _error(queue, first) == "broken"
        assert first in await _error(queue, second)
        assert second in await _error(queue, third)
        with pytest.raises(JobFailedError, match=second):
            await queue.result(third, LONG)
        await sound.ack("sound")
        late = await queue.put(6, after=[third])
        assert (await _states(queue, [late]), third in await _error(queue, late)) == (
            ["dead"],
            True,
        )
        assert await queue.retry_dead([second]) == 0
        assert await queue.retry_dead() == 5
        expected = ["ready", "waiting", "waiting", "waiting", "waiting"]
        assert await _states(queue, [first, second, third, both, late]) == expected
        payloads: list[Any] = []
        while jobs := await queue.claim(5, LONG):
            for each in jobs:
                payloads.append(each.payload)
                if each.id == both:
                    assert await each.results() == {beside: "sound", third: 3}
                await each.ack(each.payload)
        assert payloads[:3] == [1, 2, 3]
        assert sorted(payloads[3:]) == [5, 6]

    async def test_what_comes_after_a_cancelled_job_is_cancelled(self, memory: Memory) -> None:
        queue = queue_of(memory)
        first, second, third = await queue.chain([1, 2, 3])
        assert await queue.cancel(second) == "cancelled"
        assert await _states(queue, [first, second, third]) == ["ready", "cancelled", "cancelled"]
        assert second in await _error(queue, third)
        with pytest.raises(JobCancelledError):
            await queue.result(third, LONG)
        late = await queue.put(4, after=[first, third])
        assert await _states(queue, [late]) == ["cancelled"]
        await (await claim_one(queue)).ack()
        assert await queue.claim(5) == []

    async def test_what_falls_with_a_job_whose_worker_died_or_was_told(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        first, second = await queue.chain([1, 2])
        await queue.claim(1, SHORT)

        async def is_dead() -> bool:
            await queue.claim(1, LONG)
            return await _states(queue, [first, second]) == ["dead", "dead"]

        await until(is_dead)
        third, fourth = await queue.chain([3, 4])
        job = await claim_one(queue)
        assert await queue.cancel(third) == "cancelling"
        assert await _states(queue, [fourth]) == ["waiting"]
        await job.fail("told")
        assert await _states(queue, [third, fourth]) == ["cancelled", "cancelled"]

    async def test_a_delay_counts_from_the_put_and_a_limit_key_where_it_is_ready(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        first = await queue.put(1)
        later = await queue.put(2, after=[first], delay=LONG)
        keyed = await queue.put(3, after=[first], limit_key="one")
        await (await claim_one(queue)).ack()
        assert await _states(queue, [later, keyed]) == ["delayed", "ready"]
        assert (await claim_one(queue)).id == keyed

    async def test_a_waiting_job_holds_its_dedupe_key(self, memory: Memory) -> None:
        queue = queue_of(memory)
        first = await queue.put(1)
        waiting = await queue.put(2, after=[first], dedupe="k")
        assert await queue.put(3, dedupe="k") == waiting
        assert await queue.put(4, dedupe="k", on_duplicate="replace") == waiting
        assert await queue.put(5, dedupe="k", on_duplicate="earliest", priority=-1) == waiting
        assert await _states(queue, [waiting]) == ["waiting"]
        await (await claim_one(queue)).ack()
        job = await claim_one(queue)
        assert (job.id, job.payload, job.priority) == (waiting, 4, -1)

    async def test_of_many_that_end_at_once_the_last_frees_who_waits(
        self, memory: Memory, other: Memory
    ) -> None:
        queue = queue_of(memory)
        for _ in range(5):
            before = await queue.put_many(range(8))
            last = await queue.put("last", after=before)
            jobs = await queue.claim(4, LONG) + await queue_of(other).claim(4, LONG)
            await asyncio.gather(*(job.ack(job.payload) for job in jobs))
            job = await claim_one(queue)
            assert job.id == last
            assert sorted((await job.results()).values()) == list(range(8))
            await job.ack()

    async def test_an_acknowledgement_that_is_repeated_frees_once(self, memory: Memory) -> None:
        queue, calls = queue_of(memory), parts_of(memory).jobs
        first, second, third = await queue.chain([1, 2, 3])
        for job_id in (first, second):
            assert (await claim_one(queue)).id == job_id
            ack = EndJob(queue.name, job_id, 1, "ack", calls.encode(job_id), int(LONG * 1_000))
            for _ in range(2):
                assert await calls.write(ack) == "done"
        late = EndJob(queue.name, first, 1, "ack", calls.encode("late"), int(LONG * 1_000))
        assert await calls.write(late) == "done"
        (job,) = await queue.claim(5, LONG)
        assert (job.id, await job.results()) == (third, {second: second})

    async def test_more_fall_than_in_one_step(self, memory: Memory) -> None:
        queue = queue_of(memory)
        first = await queue.put("first")
        count = MOST_FALLEN + 5
        for at in range(0, count, 201):
            await queue.put_many([NewJob(0, after=[first])] * min(201, count - at))
        await queue.cancel(first)
        stats = await queue.stats()
        assert (stats.waiting, stats.cancelled) == (5, MOST_FALLEN + 1)
        assert await queue.claim(5) == []
        stats = await queue.stats()
        assert (stats.waiting, stats.cancelled) == (0, count + 1)

    async def test_a_job_after_an_unknown_one_is_not_put(self, memory: Memory) -> None:
        queue = queue_of(memory)
        elsewhere = await queue_of(memory, "other").put(1)
        first = await queue.put(0)
        for after in (["0" * 32], [elsewhere], [first, elsewhere]):
            with pytest.raises(JobNotFoundError, match=after[-1]):
                await queue.put(1, after=after)
        with pytest.raises(JobNotFoundError):
            await queue.put_many([1, NewJob(2, after=[elsewhere])])
        async with memory.transaction() as step:
            second = await queue.put(2, transaction=step)
            await queue.put(3, after=[first, second], transaction=step)
        assert (await queue.stats()).waiting == 1
        with pytest.raises(JobNotFoundError, match=elsewhere):
            await _put_together(memory, elsewhere)
        assert (await queue.stats()).ready == 2

    @pytest.mark.parametrize(
        "after", ["text", [5], [""], ["x"] * 2 + [f"{at}" for at in range(MAX_AFTER)]]
    )
    async def test_what_is_no_list_of_ids_is_refused(self, memory: Memory, after: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="after"):
            await queue_of(memory).put(1, after=after)

    async def test_waiting_jobs_are_listed_and_purged_with_all_that_is_theirs(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory, max_attempts=1)
        first, second, third = await queue.chain([1, 2, 3])
        page = await queue.jobs("waiting", 1)
        rest = await queue.jobs("waiting", 5, page.after or "")
        assert [each.status.id for each in page.jobs + rest.jobs] == [second, third]
        await (await claim_one(queue)).fail("broken")
        assert await queue.purge_dead([first, second]) == 2
        assert await queue.retry_dead([third]) == 0
        assert await _states(queue, [first, second, third]) == ["unknown", "unknown", "dead"]
