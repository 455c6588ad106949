"""Steps over jobs and entries (``memory.transaction()``): all of it happens, or none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.errors import (
    CrossShardError,
    InvalidArgumentError,
    InvalidValueError,
    JobLostError,
    RevisionConflictError,
    StaleFenceError,
)
from lionagi_qe.persistence.contract.operations import Fence
from lionagi_qe.persistence.named_entries import NamedEntries
from lionagi_qe.testing.conformance.base import Conformance, Connect
from lionagi_qe.testing.conformance.default_ttl import DEFAULT, seconds_of
from lionagi_qe.testing.conformance.queue_base import LONG, claim_one, queue_of

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory

# In the shard of the entries, also where the first segment of a name decides.
QUEUE = "step/jobs"


class TransactionConformance(Conformance):
    """memory.transaction()."""

    async def test_entries_and_jobs_change_in_one_step(self, memory: Memory, other: Memory) -> None:
        queue = queue_of(memory, QUEUE)
        await queue.put("do")
        await memory.store_many({"aqe/step/old": 1, "aqe/step/n": 40})
        job = await claim_one(queue)
        async with memory.transaction() as step:
            step.store("aqe/step/plan", {"v": 1}, ttl=LONG, partition="p", if_revision=0)
            step.delete("aqe/step/old")
            step.increment("aqe/step/n", 2)
            step.touch("aqe/step/absent", 5)
            await job.ack("result", transaction=step)
            put = await queue.put("next", transaction=step)
            # Nothing happens before the end.
            assert await other.retrieve("aqe/step/plan") is None
            assert await queue_of(other, QUEUE).claim() == []
            assert not job.ended
        entry = await other.entry("aqe/step/plan")
        assert entry is not None
        assert (entry.value, entry.partition) == ({"v": 1}, "p")
        assert step.results == {
            "aqe/step/plan": entry.revision,
            "aqe/step/old": True,
            "aqe/step/n": 42,
            "aqe/step/absent": False,
        }
        assert step.job_ids == {put: put}
        assert job.ended
        assert await queue.result(job.id, LONG) == "result"
        assert (await claim_one(queue_of(other, QUEUE))).payload == "next"

    @pytest.mark.parametrize("why", ["conflict", "lost job", "stale fence", "no number", "error"])
    async def test_what_is_refused_changes_nothing(
        self, memory: Memory, other: Memory, why: str
    ) -> None:
        queue = queue_of(memory, QUEUE)
        await queue.put_many(["first", "second"])
        lost, _ = await queue.claim(2, lease_ttl=0.05)
        await asyncio.sleep(0.1)
        job = (await queue_of(other, QUEUE).claim(2))[1]
        await memory.store_many({"aqe/step/a": "old", "aqe/step/z": "old"})
        lease = Lease(other, "step", ttl=LONG)
        await lease.acquire()
        fence = lease.fence
        if why == "stale fence":
            await lease.release()
        errors = {
            "conflict": RevisionConflictError,
            "lost job": JobLostError,
            "stale fence": StaleFenceError,
            "no number": InvalidValueError,
            "error": ZeroDivisionError,
        }

        async def change() -> None:
            async with memory.transaction(fence=fence) as step:
                step.store("aqe/step/a", "new")
                step.delete("aqe/step/z")
                step.store("aqe/step/new", 1, if_revision=5 if why == "conflict" else None)
                await (lost if why == "lost job" else job).ack(transaction=step)
                await queue.put("never", transaction=step)
                if why == "no number":
                    step.increment("aqe/step/text")
                if why == "error":
                    raise ZeroDivisionError

        await memory.store("aqe/step/text", "text")
        with pytest.raises(errors[why]):
            await change()
        assert await memory.search("aqe/step/*") == {
            "aqe/step/a": "old",
            "aqe/step/text": "text",
            "aqe/step/z": "old",
        }
        stats = await queue.stats()
        assert (stats.ready, stats.claimed, stats.done) == (0, 2, 0)
        assert not job.ended
        await job.ack()
        await lease.release()

    async def test_each_effect_of_retried_jobs_happens_once(
        self, memory: Memory, other: Memory
    ) -> None:
        """Half of the workers lose their lease before they end the job."""
        await queue_of(memory, QUEUE).put_many(range(40))

        async def worker(handle: Memory, *, slow: bool) -> None:
            queue = WorkQueue(handle, QUEUE, max_attempts=20)
            while (await queue.stats()).done < 40:
                for job in await queue.claim(5, lease_ttl=0.05 if slow else LONG, wait=0.1):
                    if slow:
                        await asyncio.sleep(0.02)
                    try:
                        async with handle.transaction() as step:
                            step.increment("aqe/step/effects")
                            await job.ack(transaction=step)
                    except JobLostError:
                        continue

        await asyncio.gather(
            worker(memory, slow=True), worker(other, slow=True), worker(other, slow=False)
        )
        assert await memory.retrieve("aqe/step/effects") == 40

    async def test_a_duplicate_in_a_step_is_told_afterwards(self, memory: Memory) -> None:
        queue = queue_of(memory, QUEUE)
        first = await queue.put(1, dedupe="k")
        async with memory.transaction() as step:
            proposed = await queue.put(2, dedupe="k", transaction=step)
        assert step.job_ids == {proposed: first}
        assert len(await queue.claim(5)) == 1

    async def test_steps_and_single_changes_keep_their_order(self, memory: Memory) -> None:
        async def step(at: int) -> None:
            async with memory.transaction() as changes:
                changes.store("aqe/step/k", at)
                changes.increment("aqe/step/n")

        calls = [
            step(at) if at % 3 else memory.store("aqe/step/k", at, timeout=LONG) for at in range(60)
        ]
        await asyncio.gather(*calls)
        assert await memory.retrieve("aqe/step/k") == 59
        assert await memory.retrieve("aqe/step/n") == 40

    async def test_a_step_takes_each_key_once_and_ends_once(self, memory: Memory) -> None:
        queue = queue_of(memory, QUEUE)
        async with memory.transaction() as step:
            step.store("aqe/step/a", 1)
            with pytest.raises(InvalidArgumentError, match="already changed"):
                step.delete("aqe/step/a")
            with pytest.raises(InvalidArgumentError, match="fence"):
                await queue.put(1, transaction=step, fence=Fence("x", 1))
        with pytest.raises(InvalidArgumentError, match="ended"):
            step.store("aqe/step/b", 1)
        async with memory.transaction():
            pass
        assert await memory.list_keys() == ["aqe/step/a"]

    async def test_what_lies_in_several_shards_is_refused_whole(self, memory: Memory) -> None:
        """Where there is one shard, it is one step whatever the keys are."""
        keys = [f"aqe/segment-{at}/k" for at in range(40)]

        async def change() -> None:
            async with memory.transaction() as step:
                for key in keys:
                    step.store(key, 1)
                await queue_of(memory).put(1, transaction=step)

        if memory.capabilities.atomic_batches == "all":
            await change()
            assert len(await memory.list_keys()) == 40
            return
        with pytest.raises(CrossShardError, match="shard"):
            await change()
        assert await memory.list_keys() == []
        assert await queue_of(memory).claim() == []

    async def test_what_a_step_stores_has_the_memorys_ttl_unless_it_says_another(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> None:
        lasting = await opened.enter_async_context(connect(fleet=fleet, default_ttl=DEFAULT))
        # It is emptied by that one.
        del memory
        pages = NamedEntries(lasting, "aqe/ttl/pages")
        async with lasting.transaction() as step:
            step.store("aqe/ttl/step", 1)
            step.store("aqe/ttl/brief", 1, ttl=50)
            step.store("aqe/ttl/stays", 1, ttl=None)
            step.store(*pages.item("a name", 1))
        found = {key: await seconds_of(lasting, key) for key in await lasting.list_keys()}
        assert found == {
            "aqe/ttl/brief": 50,
            pages.key("a name"): DEFAULT,
            "aqe/ttl/stays": None,
            "aqe/ttl/step": DEFAULT,
        }
        assert await pages.names() == ["a name"]
