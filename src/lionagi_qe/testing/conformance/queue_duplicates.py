"""Jobs with the same key: which counts, what becomes of the other, and for how long a key holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.queue_base import (
    LONG,
    SHORT,
    claim_one,
    much_later,
    queue_of,
)

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


class QueueDuplicatesConformance(Conformance):
    """on_duplicate, dedupe_for, and dead jobs beside a live twin."""

    async def test_a_waiting_job_is_replaced(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put("old", delay=LONG, dedupe="k", priority=5)
        await queue.put("between")
        again = await queue_of(other, max_attempts=2).put(
            "new", dedupe="k", priority=-1, on_duplicate="replace"
        )
        assert again == job_id
        jobs = await queue.claim(10)
        assert [(job.id == job_id, job.payload, job.priority) for job in jobs] == [
            (True, "new", -1),
            (False, "between", 0),
        ]
        assert jobs[0].max_attempts == 2

    async def test_replacing_may_put_a_job_off(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1, dedupe="k")
        assert await queue.put(2, dedupe="k", delay=LONG, on_duplicate="replace") == job_id
        assert await queue.claim() == []
        assert (await queue.stats()).delayed == 1
        assert await queue.put(3, dedupe="k", delay=SHORT, on_duplicate="replace") == job_id
        job = await claim_one(queue)
        assert (job.payload, job.attempt) == (3, 1)

    async def test_a_replaced_job_has_all_attempts_before_it(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=2, backoff=much_later)
        job_id = await queue.put("old", dedupe="k")
        job = await claim_one(queue)
        await job.progress("half")
        await job.fail("once")
        assert await queue.put("new", dedupe="k", on_duplicate="replace") == job_id
        status = await queue.status(job_id)
        assert status is not None
        assert (status.attempts, status.error, status.progress) == (0, None, None)
        assert (await claim_one(queue)).attempt == 1

    async def test_what_is_put_last_is_done_though_the_job_it_replaces_runs(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        old = await queue.put("old", dedupe="k")
        running = await claim_one(queue)
        assert await queue.put("kept out", dedupe="k") == old
        new = await queue.put("new", dedupe="k", on_duplicate="replace")
        assert new != old
        assert await queue.put("newer", dedupe="k", on_duplicate="replace") == new
        # Else the old would be done after the new.
        assert not await running.fail("no")
        assert [job.id for job in await queue.dead()] == [old]
        job = await claim_one(queue)
        assert (job.id, job.payload) == (new, "newer")
        await job.ack()
        assert await queue.put("last", dedupe="k") not in {old, new}

    async def test_a_waiting_job_is_hastened_but_never_put_off(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put("first", delay=LONG, dedupe="k", priority=0)

        async def put(delay: float, priority: int = 0) -> None:
            found = await queue.put(
                "later", dedupe="k", delay=delay, priority=priority, on_duplicate="earliest"
            )
            assert found == job_id

        await put(2 * LONG, priority=7)
        await put(SHORT, priority=3)
        await put(LONG, priority=-2)
        job = await claim_one(queue)
        assert (job.id, job.payload, job.priority) == (job_id, "first", -2)
        await put(0)
        assert await queue.claim() == []
        await job.fail("not yet", delay=LONG)
        await put(0)
        again = await claim_one(queue)
        assert (again.payload, again.attempt) == ("first", 2)
        await again.ack()

    async def test_a_ready_job_stays_ready_when_hastened(self, memory: Memory) -> None:
        queue = queue_of(memory)
        await queue.put("other")
        job_id = await queue.put("first", dedupe="k", priority=4)
        await queue.put("x", dedupe="k", delay=LONG, priority=-4, on_duplicate="earliest")
        jobs = await queue.claim(5)
        assert [(job.id == job_id, job.payload) for job in jobs] == [
            (True, "first"),
            (False, "other"),
        ]

    @pytest.mark.parametrize("runs", [False, True])
    async def test_a_replacing_put_sent_again_replaces_once(
        self, memory: Memory, *, runs: bool
    ) -> None:
        queue = queue_of(memory)
        old = await queue.put("old", dedupe="k")
        held = await queue.claim() if runs else []
        put = queue._put(NewJob("new", dedupe="k", on_duplicate="replace"), None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        calls = parts_of(memory).jobs
        first = await calls.write(put)
        # As after a lost answer; meanwhile somebody began it.
        job = await claim_one(queue)
        assert (job.id, job.payload) == (first, "new")
        assert await calls.write(put) == first
        assert await queue.claim() == []
        assert (first == old) is not bool(held)

    async def test_of_many_replacing_puts_the_last_counts(
        self, memory: Memory, other: Memory
    ) -> None:
        queues = [queue_of(memory), queue_of(other)]
        puts = (
            queues[at % 2].put(at, dedupe=f"k{at % 3}", on_duplicate="replace") for at in range(60)
        )
        ids = await asyncio.gather(*puts)
        assert len(set(ids)) == 3
        last = await queues[0].put("last", dedupe="k0", on_duplicate="replace")
        jobs = await queues[0].claim(10)
        assert len(jobs) == 3
        assert {job.payload for job in jobs if job.id == last} == {"last"}

    async def test_an_idempotency_key_outlives_its_job(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory, result_ttl=SHORT)
        job_id = await queue.put(1, dedupe="k", dedupe_for=LONG)
        assert await queue.put(2, dedupe="k", dedupe_for=LONG) == job_id
        await (await claim_one(queue)).ack()
        assert await queue_of(other).put(3, dedupe="k", dedupe_for=LONG) == job_id
        # Whoever puts it, and even when nothing else is known of the job.
        await asyncio.sleep(2 * SHORT)
        await memory.cleanup_expired()
        assert await queue.status(job_id) is None
        assert await queue_of(other).put(4, dedupe="k") == job_id
        assert await queue.put(5, dedupe="k", on_duplicate="replace") == job_id
        assert await queue.claim() == []
        assert await queue.put(6, dedupe="another", dedupe_for=LONG) != job_id

    async def test_an_idempotency_key_ends_in_time_and_outlasts_it_with_its_job(
        self, memory: Memory
    ) -> None:
        queue = queue_of(memory)
        job_id = await queue.put(1, dedupe="k", dedupe_for=SHORT)
        await asyncio.sleep(2 * SHORT)
        await memory.cleanup_expired()
        assert await queue.put(2, dedupe="k") == job_id
        await (await claim_one(queue)).ack()
        second = await queue.put(3, dedupe="k", dedupe_for=SHORT)
        assert second != job_id
        await (await claim_one(queue)).fail("no", retry=False)
        await queue.purge_dead()
        assert await queue.put(4, dedupe="k") == second
        await asyncio.sleep(2 * SHORT)
        assert await queue.put(5, dedupe="k") not in {job_id, second}

    async def test_keys_of_one_queue_are_no_business_of_one_whose_name_begins_alike(
        self, memory: Memory
    ) -> None:
        queues = [WorkQueue(memory, name) for name in ("jobs", "jobs:k", "jobs:k:r", "jobs:r")]
        keys = [*"cfjklnqruwx", "k:r", ":k:r", "4:jobs"]
        ids = [
            [await queue.put(key, dedupe=key, dedupe_for=LONG) for key in keys] for queue in queues
        ]
        assert len({job_id for of_one in ids for job_id in of_one}) == len(queues) * len(keys)
        for queue, of_one in zip(queues, ids, strict=True):
            jobs = await queue.claim(100)
            assert [(job.id, job.payload) for job in jobs] == [*zip(of_one, keys, strict=True)]
            for job in jobs:
                await job.ack()
            assert [await queue.put("again", dedupe=key) for key in keys] == of_one

    async def test_an_idempotency_key_goes_to_the_job_that_replaces(self, memory: Memory) -> None:
        queue = queue_of(memory)
        old = await queue.put("old", dedupe="k", dedupe_for=LONG)
        running = await claim_one(queue)
        new = await queue.put("new", dedupe="k", on_duplicate="replace")
        assert new != old
        await running.ack()
        assert await queue.put("x", dedupe="k") == new
        await (await claim_one(queue)).ack()
        assert await queue.put("x", dedupe="k") == new

    async def test_of_many_puts_with_an_idempotency_key_one_is_done(
        self, memory: Memory, other: Memory
    ) -> None:
        queues = [queue_of(memory), queue_of(other)]
        done: list[Any] = []

        async def work() -> None:
            while len(done) < 3:
                for job in await queues[1].claim(3, wait=LONG):
                    done.append(job.payload)
                    await job.ack()

        working = asyncio.create_task(work())
        ids = await asyncio.gather(
            *(queues[at % 2].put(at % 3, dedupe=f"k{at % 3}", dedupe_for=LONG) for at in range(90))
        )
        assert len(set(ids)) == 3
        await working
        assert sorted(done) == [0, 1, 2]
        assert await queues[0].claim() == []

    async def test_a_dead_job_is_not_revived_beside_its_live_twin(self, memory: Memory) -> None:
        queue = queue_of(memory, max_attempts=1)
        dead: list[str] = []
        for payload in ("older", "newer"):
            dead.append(await queue.put(payload, dedupe="k"))
            await (await claim_one(queue)).fail("no")
            # Ids of one millisecond have no order.
            await asyncio.sleep(0.002)
        twin = await queue.put("twin", dedupe="k")
        assert await queue.retry_dead(dead) == 0
        assert await queue.retry_dead() == 0
        assert {job.id for job in await queue.dead()} == set(dead)
        job = await claim_one(queue)
        assert job.id == twin
        assert await queue.retry_dead() == 0
        await job.ack()
        # Of those that died with one key, one lives again: and has its key.
        assert await queue.retry_dead() == 1
        revived = await claim_one(queue)
        assert revived.id == min(dead)
        assert await queue.put("x", dedupe="k") == revived.id
        await revived.ack()
        assert await queue.put("x", dedupe="k") not in {*dead, twin}

    async def test_a_transaction_may_replace(self, memory: Memory) -> None:
        queue = queue_of(memory)
        job_id = await queue.put("old", dedupe="k")
        async with memory.transaction() as transaction:
            asked = await queue.put(
                "new", dedupe="k", on_duplicate="replace", transaction=transaction
            )
        assert transaction.job_ids[asked] == job_id
        assert (await claim_one(queue)).payload == "new"

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"dedupe": "k", "on_duplicate": "drop"}, "on_duplicate"),
            ({"on_duplicate": "replace"}, "dedupe"),
            ({"dedupe_for": 5}, "dedupe"),
            ({"dedupe": "k", "dedupe_for": -1}, "dedupe_for"),
            ({"dedupe": "k", "dedupe_for": "1"}, "dedupe_for"),
        ],
    )
    async def test_impossible_duplicates_are_refused(
        self, memory: Memory, settings: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(InvalidArgumentError, match=words):
            await queue_of(memory).put(1, **settings)
