"""Scopes: what lies outside is refused whichever call asks, and nothing of it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from lionagi_qe.coordination import Lease, Presence, Session, WorkQueue
from lionagi_qe.errors import AccessDeniedError, InvalidArgumentError, MemoryClosedError
from lionagi_qe.persistence.contract.operations import Fence, Learn
from lionagi_qe.persistence.transfer import compare, copy, export, restore
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from lionagi_qe.persistence import Memory

    Call = Callable[[Memory], Awaitable[object]]

OUT = "aqe/plans-secret/x"
INSIDE = {
    "aqe/plans/a": {"n": 1},
    "aqe/plans/b": {"n": 2},
    "aqe/agents/7/note": "mine",
    "aqe/config": [1],
}
# What an agent could guess at: each begins as something in the scope does, or ends so.
OUTSIDE = {
    OUT: "secret",
    "aqe/plan": "secret",
    "aqe/plans-secret": "secret",
    "aqe/plansX": "secret",
    "aqe/plans%2Fa": "secret",
    "aqe/Plans/a": "secret",
    "aqe/agents/70/note": "secret",
    "aqe/agents/8/note": "secret",
    "aqe/agents/[7]/note": "secret",
    "aqe/config ": "secret",
    "aqe/config/x": "secret",
    "aqe/configs": "secret",
    "aqe/zz": 7,
}


async def _first(changes: Any) -> object:
    return await anext(aiter(changes))


async def _transaction(memory: Memory, change: Callable[[Any], object]) -> None:
    async with memory.transaction() as tx:
        change(tx)


async def _put_in_transaction(memory: Memory) -> None:
    async with memory.transaction() as tx:
        await WorkQueue(memory, "other").put(1, transaction=tx)


def _queue(memory: Memory) -> WorkQueue:
    return WorkQueue(memory, "other")


def _lease(memory: Memory) -> Lease:
    return Lease(memory, "other")


def _session(memory: Memory) -> Session:
    return Session(memory, "other")


_LEARN = Learn("aqe/zz", (1.0,), 0.0, 1.0, 0.5, 0.1, "default")
# Every public call that reaches a server, made for what lies outside.
REFUSED: Mapping[str, Call] = {
    "Memory.store": lambda memory: memory.store(OUT, 1),
    "Memory.retrieve": lambda memory: memory.retrieve(OUT),
    "Memory.entry": lambda memory: memory.entry(OUT),
    "Memory.exists": lambda memory: memory.exists(OUT),
    "Memory.delete": lambda memory: memory.delete(OUT),
    "Memory.touch": lambda memory: memory.touch(OUT, 1),
    "Memory.increment": lambda memory: memory.increment("aqe/zz"),
    "Memory.update": lambda memory: memory.update(OUT, lambda value: value),
    "Memory.store_many": lambda memory: memory.store_many({"aqe/agents/7/y": 1, OUT: 1}),
    "Memory.retrieve_many": lambda memory: memory.retrieve_many(["aqe/plans/a", OUT]),
    "Memory.delete_many": lambda memory: memory.delete_many(["aqe/agents/7/note", OUT]),
    "Memory.learn_many": lambda memory: memory.learn_many([_LEARN]),
    "Memory.search": lambda memory: memory.search("aqe/plans-*"),
    "Memory.list_keys": lambda memory: memory.list_keys("aqe/plans-secret"),
    "Memory.list_children": lambda memory: memory.list_children("aqe/plans-secret/"),
    "Memory.delete_prefix": lambda memory: memory.delete_prefix("aqe/plans-secret/"),
    "Memory.entries_many": lambda memory: memory.entries_many(["aqe/plans/a", OUT]),
    "Memory.scan": lambda memory: _first(memory.scan("aqe/zz")),
    "Memory.watch": lambda memory: _first(memory.watch("aqe/plans-*", "start")),
    "Memory.index": lambda memory: memory.index("secrets", "aqe/plans-secret/*"),
    "Memory.recall": lambda memory: memory.recall("secret", index="secrets"),
    "Memory.refresh_index": lambda memory: memory.refresh_index("secrets"),
    "Memory.reindex": lambda memory: memory.reindex("secrets"),
    "Memory.drop_index": lambda memory: memory.drop_index("secrets"),
    "Memory.indexes": lambda memory: memory.indexes(),
    "Memory.transaction": lambda memory: _transaction(memory, lambda tx: tx.store(OUT, 1)),
    "Memory.cleanup_expired": lambda memory: memory.cleanup_expired(),
    "Transaction.store": lambda memory: _transaction(memory, lambda tx: tx.store(OUT, 1)),
    "Transaction.delete": lambda memory: _transaction(memory, lambda tx: tx.delete(OUT)),
    "Transaction.increment": lambda memory: _transaction(memory, lambda tx: tx.increment("aqe/zz")),
    "Transaction.touch": lambda memory: _transaction(memory, lambda tx: tx.touch(OUT, 1)),
    "Transaction.add_job": _put_in_transaction,
    "WorkQueue.put": lambda memory: _queue(memory).put(1),
    "WorkQueue.put_many": lambda memory: _queue(memory).put_many([1, 2]),
    "WorkQueue.chain": lambda memory: _queue(memory).chain([1, 2]),
    "WorkQueue.batch": lambda memory: _queue(memory).batch([1], then=2),
    "WorkQueue.batches": lambda memory: _queue(memory).batches(),
    "Batch.add": lambda memory: _queue(memory).get_batch("1").add([1]),
    "Batch.cancel": lambda memory: _queue(memory).get_batch("1").cancel(),
    "Batch.jobs": lambda memory: _queue(memory).get_batch("1").jobs(),
    "Batch.progress": lambda memory: _queue(memory).get_batch("1").progress(),
    "Batch.results": lambda memory: _first(_queue(memory).get_batch("1").results()),
    "WorkQueue.claim": lambda memory: _queue(memory).claim(),
    "WorkQueue.consume": lambda memory: _first(_queue(memory).consume(signals=())),
    "WorkQueue.work": lambda memory: _queue(memory).work(lambda _: asyncio.sleep(0), signals=()),
    "WorkQueue.result": lambda memory: _queue(memory).result("1", 5),
    "WorkQueue.stats": lambda memory: _queue(memory).stats(),
    "WorkQueue.status": lambda memory: _queue(memory).status("1"),
    "WorkQueue.details": lambda memory: _queue(memory).details("1"),
    "WorkQueue.cancel": lambda memory: _queue(memory).cancel("1"),
    "WorkQueue.schedule": lambda memory: _queue(memory).schedule("s", cron="0 3 * * *"),
    "WorkQueue.unschedule": lambda memory: _queue(memory).unschedule("s"),
    "WorkQueue.schedules": lambda memory: _queue(memory).schedules(),
    "WorkQueue.limit": lambda memory: _queue(memory).limit(concurrency=1),
    "WorkQueue.limits": lambda memory: _queue(memory).limits(),
    "WorkQueue.dead_groups": lambda memory: _queue(memory).dead_groups(),
    "WorkQueue.dead": lambda memory: _queue(memory).dead(),
    "WorkQueue.jobs": lambda memory: _queue(memory).jobs("ready"),
    "WorkQueue.retry_dead": lambda memory: _queue(memory).retry_dead(["1"]),
    "WorkQueue.purge_dead": lambda memory: _queue(memory).purge_dead(),
    "Lease.acquire": lambda memory: _lease(memory).acquire(),
    "Lease.try_acquire": lambda memory: _lease(memory).try_acquire(),
    "Lease.state": lambda memory: _lease(memory).state(),
    "Lease.revoke": lambda memory: _lease(memory).revoke(),
    "Presence.beat": lambda memory: Presence(memory, "other").beat(),
    "Presence.alive": lambda memory: Presence(memory, "other").alive(),
    "Presence.movements": lambda memory: _first(Presence(memory, "other").movements()),
    "Session.start": lambda memory: _session(memory).start(),
    "Session.remaining": lambda memory: _session(memory).remaining(),
    "Session.store": lambda memory: _session(memory).store("k", 1),
    "Session.retrieve": lambda memory: _session(memory).retrieve("k"),
    "Session.keys": lambda memory: _session(memory).keys(),
    "Session.extend": lambda memory: _session(memory).extend(),
    "Session.end": lambda memory: _session(memory).end(),
}


class ScopesConformance(Conformance):
    """``Memory.scoped``."""

    @pytest_asyncio.fixture
    async def scope(self, memory: Memory) -> Memory:
        """Return a scope of a memory that holds more."""
        await memory.store_many(INSIDE)
        await memory.store_many(OUTSIDE)
        return memory.scoped(
            "agent-7",
            read=["aqe/plans/*", "aqe/config"],
            write=["aqe/agents/7/*"],
            queues=["jobs", "agent-7-*"],
            leases=["agent-7"],
        )

    async def test_what_lies_outside_is_refused_whichever_call_asks(
        self, memory: Memory, scope: Memory
    ) -> None:
        await WorkQueue(memory, "other").put("secret")
        for name, call in REFUSED.items():
            try:
                await call(scope)
            except AccessDeniedError as error:
                assert error.outcome == "not_applied"  # noqa: PT017 - of each of many
                assert "scope 'agent-7'" in str(error), name  # noqa: PT017
            else:
                pytest.fail(f"{name} was not refused")
        assert await memory.search("*") == INSIDE | OUTSIDE
        assert (await WorkQueue(memory, "other").stats()).ready == 1

    async def test_a_refusal_is_the_same_whether_it_exists_or_not(
        self, memory: Memory, scope: Memory
    ) -> None:
        told: list[str] = []
        for _ in range(2):
            with pytest.raises(AccessDeniedError, match=OUT) as refused:
                await scope.delete(OUT, if_revision=1)
            told.append(str(refused.value))
            await memory.delete(OUT)
        assert told[0] == told[1]

    async def test_only_what_may_be_written_is_written(self, memory: Memory, scope: Memory) -> None:
        with pytest.raises(AccessDeniedError, match="changing 'aqe/plans/a'"):
            await scope.store("aqe/plans/a", 0)
        with pytest.raises(AccessDeniedError, match="changing 'aqe/plans/a'"):
            await scope.delete("aqe/plans/a")
        assert await scope.retrieve("aqe/plans/a") == {"n": 1}
        # What may be written may be read: a sum or a conflict would tell anyway.
        await scope.store("aqe/agents/7/n", 1)
        assert await scope.increment("aqe/agents/7/n") == 2
        assert await scope.retrieve("aqe/agents/7/n") == 2
        assert await scope.update("aqe/agents/7/n", lambda n: n + 1) == 3
        assert await scope.touch("aqe/agents/7/n", 60)
        assert await memory.retrieve("aqe/agents/7/n") == 3
        assert await scope.delete("aqe/agents/7/n")

    @pytest.mark.parametrize("pattern", ["*", "aqe/*", "aqe/?*", "*e*", "aqe/[!z]*", "a*"])
    async def test_a_search_of_more_finds_what_lies_inside(
        self, scope: Memory, pattern: str
    ) -> None:
        assert await scope.search(pattern) == INSIDE
        assert await scope.search(pattern, limit=3) == dict(sorted(INSIDE.items())[:3])

    @pytest.mark.parametrize("prefix", [None, "", "a", "aqe/"])
    async def test_listings_and_scans_of_more_tell_what_lies_inside(
        self, scope: Memory, prefix: str | None
    ) -> None:
        assert await scope.list_keys(prefix) == sorted(INSIDE)
        for page_size in (1, 2, 3, 4, 500):
            found = {entry.key: entry.value async for entry in scope.scan(prefix, page_size)}
            assert found == INSIDE
        assert await scope.list_keys("aqe/plan") == ["aqe/plans/a", "aqe/plans/b"]
        assert await scope.list_keys("aqe/conf", "default") == ["aqe/config"]

    async def test_patterns_with_wildcards_before_their_end(self, memory: Memory) -> None:
        keys = [f"aqe/agents/{n}/{kind}" for n in range(30) for kind in ("private", "public")]
        await memory.store_many(dict.fromkeys(keys, 1))
        scope = memory.scoped("reader", read=["aqe/agents/*/public", "aqe/agents/3/*"])
        public = sorted({key for key in keys if "public" in key} | {"aqe/agents/3/private"})
        assert await scope.list_keys() == public
        assert list(await scope.search("aqe/agents/*")) == public
        assert list(await scope.search("*", limit=7)) == public[:7]
        assert [entry.key async for entry in scope.scan(page_size=3)] == public
        assert await scope.search("aqe/agents/*/private") == {"aqe/agents/3/private": 1}
        with pytest.raises(AccessDeniedError):
            await scope.retrieve("aqe/agents/4/private")

    async def test_statistics_count_what_lies_inside(self, memory: Memory, scope: Memory) -> None:
        await memory.store("aqe/zz", 7, partition="hidden")
        stats = await scope.get_stats()
        assert (stats["total_keys"], stats["partitions"]) == (4, {"default": 4})
        assert stats["server"] == {}
        assert "location" not in await scope.describe()
        assert (await memory.scoped("nothing").get_stats())["total_keys"] == 0

    async def test_clearing_a_partition_spares_what_may_not_be_written(
        self, memory: Memory, scope: Memory
    ) -> None:
        await scope.store("aqe/agents/7/other", 1, partition="kept")
        assert await scope.clear_partition("default") == 1
        assert await memory.search("*") == {
            **{key: value for key, value in INSIDE.items() if key != "aqe/agents/7/note"},
            **OUTSIDE,
            "aqe/agents/7/other": 1,
        }
        with pytest.raises(AccessDeniedError, match="partition 'default'"):
            await memory.scoped("reader", read=["*"]).clear_partition("default")

    @pytest.mark.parametrize("pattern", ["*", "aqe/plans/*", "aqe/*"])
    async def test_a_watch_tells_what_happens_inside(
        self, memory: Memory, scope: Memory, pattern: str
    ) -> None:
        async with scope.watch(pattern) as changes:
            for key in OUTSIDE:
                await memory.store(key, "changed")
            await memory.store("aqe/plans/c", 3)
            async with asyncio.timeout(10):
                change = await anext(changes)
        assert (change.key, change.value) == ("aqe/plans/c", 3)

    async def test_a_transaction_is_refused_as_a_whole(self, memory: Memory, scope: Memory) -> None:
        with pytest.raises(AccessDeniedError, match=OUT):  # noqa: PT012 - refused at its end
            async with scope.transaction() as tx:
                tx.store("aqe/agents/7/note", "changed")
                tx.delete(OUT)
        assert await memory.search("*") == INSIDE | OUTSIDE

    async def test_a_fence_outside_is_refused(self, memory: Memory, scope: Memory) -> None:
        lease = Lease(memory, "other")
        await lease.acquire()
        for fence in (lease, Fence("other", 1)):
            with pytest.raises(AccessDeniedError, match="lease 'other'"):
                await scope.store("aqe/agents/7/note", 1, fence=fence)
            with pytest.raises(AccessDeniedError, match="lease 'other'"):
                await WorkQueue(scope, "jobs").put(1, fence=fence)
        await lease.release()
        async with Lease(scope, "agent-7") as mine:
            await scope.store("aqe/agents/7/note", 2, fence=mine)

    async def test_coordination_works_inside(self, memory: Memory, fleet: str) -> None:
        scope = memory.scoped(
            "worker",
            write=["aqe/presence/agents/*", "aqe/sessions/s", "aqe/sessions/s/*", "aqe/done/*"],
            queues=["jobs"],
        )
        await WorkQueue(memory, "hidden").put(0)
        queue = WorkQueue(scope, "jobs")
        job_id = await queue.put({"n": 1})
        (job,) = await queue.claim(wait=10)
        await job.ack("done")
        assert await queue.result(job_id, 10) == "done"
        async with Presence(scope, "a") as presence:
            assert [member.agent_id for member in await presence.alive()] == ["a"]
        async with Session(scope, "s") as session:
            await session.store("k", 1)
            assert await session.keys() == ["k"]
        assert scope.fleet == fleet

    async def test_a_scope_of_a_scope_only_narrows(self, scope: Memory) -> None:
        inner = scope.scoped(
            "inner",
            read=["aqe/plans/a", "aqe/agents/*", "aqe/plans-secret/*"],
            write=["*"],
            queues=["*"],
            leases=["*"],
        )
        assert await inner.list_keys() == sorted(INSIDE)
        assert await scope.scoped("less", read=["aqe/p*"]).list_keys() == [
            "aqe/plans/a",
            "aqe/plans/b",
        ]
        for name in ("Memory.retrieve", "Memory.store", "WorkQueue.put", "Lease.try_acquire"):
            with pytest.raises(AccessDeniedError):
                await REFUSED[name](inner)
        with pytest.raises(AccessDeniedError):
            await inner.store("aqe/plans/a", 1)
        with pytest.raises(AccessDeniedError):
            await scope.scoped("less", read=["aqe/z*"]).search("*")

    async def test_a_copy_takes_what_lies_inside(
        self, memory: Memory, scope: Memory, tmp_path: Path
    ) -> None:
        target = memory.scoped("copies", write=["aqe/agents/7/*", "aqe/plans/*", "aqe/config"])
        archive = tmp_path / "scope.jsonl"
        await export(scope, archive)
        text = archive.read_text()
        assert "secret" not in text
        assert all(key in text for key in INSIDE)
        await restore(archive, target, on_conflict="overwrite")
        assert await memory.search("*") == INSIDE | OUTSIDE
        # Into itself: whatever can be read is there already.
        await copy(scope, target, on_conflict="skip")
        assert (await compare(scope, target)).equal
        with pytest.raises(AccessDeniedError):
            await copy(memory, target, on_conflict="overwrite")
        assert await memory.search("*") == INSIDE | OUTSIDE

    async def test_closing_a_scope_leaves_the_memory_open(
        self, memory: Memory, scope: Memory
    ) -> None:
        inner = scope.scoped("inner", read=["*"])
        async with scope:
            assert await inner.exists("aqe/plans/a")
        for closed in (scope, inner):
            with pytest.raises(MemoryClosedError):
                await closed.retrieve("aqe/plans/a")
            with pytest.raises(MemoryClosedError):
                await closed.list_keys()
        assert await memory.exists("aqe/plans/a")

    @pytest.mark.parametrize("pattern", ["plans/*", "aqe", "", "aqe/[", "/aqe/x", 7])
    async def test_a_pattern_that_means_no_key_is_refused(
        self, memory: Memory, pattern: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError):
            memory.scoped("s", read=[pattern])
        with pytest.raises(InvalidArgumentError):
            memory.scoped("s", write=pattern)
