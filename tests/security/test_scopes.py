"""Scopes can't be forgotten by a call, nor be reached around by patterns, tools or clients."""

from __future__ import annotations

import inspect
import uuid
from asyncio import to_thread
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe import AccessDeniedError, Memory, open_memory
from lionagi_qe.agents.llm.fleet_actions import fleet_actions
from lionagi_qe.agents.llm.memory_actions import memory_actions
from lionagi_qe.agents.llm.work_actions import work_actions
from lionagi_qe.coordination import Batch, Lease, Presence, Session, WorkQueue
from lionagi_qe.persistence.contract import (
    Backend,
    ChangeLog,
    Delete,
    Fence,
    Fire,
    JobBackend,
    JobLimit,
    LeaseBackend,
    LimitBackend,
    Notifier,
    PutJob,
    PutSchedule,
    ScheduleBackend,
    ScheduleRecord,
    TransactionOperations,
)
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.scheduling.scheduler import Scheduler
from lionagi_qe.persistence.scopes.backend import ScopedBackend
from lionagi_qe.persistence.scopes.coordination import (
    ScopedJobs,
    ScopedLeases,
    ScopedLimits,
    ScopedNotifier,
    ScopedSchedules,
)
from lionagi_qe.persistence.scopes.log import ScopedLog
from lionagi_qe.persistence.scopes.scheduler import ScopedScheduler
from lionagi_qe.persistence.transaction import Transaction
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.testing.conformance.scopes import REFUSED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from lionagi_qe.agents.llm.action import Action

# What a call outside has nothing to be refused for: it asks no server, or ends what is held.
ASKS_NOTHING = {
    "Memory.open",
    "Memory.close",
    "Memory.scoped",
    "Lease.release",
    "WorkQueue.get_batch",
    "WorkQueue.stop",
}
# Tried in the conformance suite with figures of their own, as they tell of what lies inside.
NARROWED = {"Memory.get_stats", "Memory.describe", "Memory.clear_partition"}


def calls_of(kind: type) -> set[str]:
    """Return the public methods of a class, those that it inherits among them."""
    return {
        f"{kind.__name__}.{name}"
        for name, _ in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }


def names_of(kind: type) -> set[str]:
    """Return all public names of a class, but for those that its objects are given."""
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [Memory, Transaction, WorkQueue, Batch, Lease, Presence, Session])
def test_every_public_call_is_tried_outside_of_a_scope(kind: type) -> None:
    known = REFUSED.keys() | ASKS_NOTHING | NARROWED
    forgotten = calls_of(kind) - known
    assert not forgotten, (
        f"{forgotten}: add a call of it, for what lies outside of a scope, to REFUSED in "
        "lionagi_qe.testing.conformance.scopes"
    )


def test_no_call_is_tried_that_is_not_there() -> None:
    kinds = (Memory, Transaction, WorkQueue, Batch, Lease, Presence, Session)
    there = set().union(*map(calls_of, kinds))
    assert REFUSED.keys() | ASKS_NOTHING | NARROWED <= there


@pytest.mark.parametrize(
    ("whole", "scoped"),
    [
        (Scheduler, ScopedScheduler),
        (Backend, ScopedBackend),
        (JobBackend, ScopedJobs),
        (ScheduleBackend, ScopedSchedules),
        (LimitBackend, ScopedLimits),
        (LeaseBackend, ScopedLeases),
        (ChangeLog, ScopedLog),
        (Notifier, ScopedNotifier),
    ],
)
def test_whatever_a_memory_stands_on_is_decided_on_for_scopes(whole: type, scoped: type) -> None:
    # What it doesn't define itself it would have from elsewhere, unchecked, or not at all.
    defined = {name for name in vars(scoped) if not name.startswith("_")}
    assert names_of(whole) <= defined, "decide what a scope does about it"
    assert "__getattr__" not in vars(scoped)


async def test_the_parts_of_a_scope_are_scoped() -> None:
    async with open_memory("memory://") as memory:
        scope = memory.scoped("s", read=["aqe/a/*"])
        parts = parts_of(scope)
        assert isinstance(parts.backend, ScopedBackend)
        with pytest.raises(AccessDeniedError):
            await parts.backend.read_payloads(["aqe/b"])
        with pytest.raises(AccessDeniedError):
            await parts.bulk.find(["aqe/b"])
        for call in (parts.backend.close(), parts.backend.sweep(1)):
            with pytest.raises(AccessDeniedError):
                await call


async def test_each_part_of_a_scope_checks_by_itself() -> None:
    """What a call of a memory checks first is checked again where a backend's parts are asked."""
    async with open_memory("memory://") as memory:
        await WorkQueue(memory, "other").put(1)
        scope = memory.scoped("s", write=["aqe/a/*"], queues=["jobs"], leases=["mine"])
        inner = cast("Any", scope)._scheduler
        jobs, leases, schedules = inner.jobs, inner.leases, inner.schedules
        record = ScheduleRecord("s", "rule", "{}", "1", 0)
        fence, put = Fence("other", 1), PutJob("other", "id", b"1")
        fenced = PutJob("jobs", "id", b"1", fence=fence)
        outside: list[Callable[[], Any]] = [
            lambda: jobs.listen("other"),
            lambda: jobs.write([put]),
            lambda: jobs.write([fenced]),
            lambda: jobs.transact(TransactionOperations([Delete("aqe/b")], [])),
            lambda: jobs.transact(TransactionOperations([], [put])),
            lambda: jobs.claim("other", 1, 1),
            lambda: jobs.find("other", ["id"]),
            lambda: jobs.details("other", "id"),
            lambda: jobs.list_dead("other", "", 1),
            lambda: jobs.list_jobs("other", "ready", "", 1),
            lambda: jobs.results_before("other", "1"),
            lambda: jobs.find_batch("other", "1"),
            lambda: jobs.list_batches("other", "", 1),
            lambda: jobs.batch_jobs("other", "1", "", 1, pending=False),
            lambda: jobs.revive("other", ["id"]),
            lambda: jobs.purge("other", ["id"]),
            lambda: jobs.count("other"),
            lambda: jobs.confirm("other"),
            lambda: jobs.notifier.wait("other", 0, 0),
            lambda: to_thread(jobs.notifier.count, "other"),
            lambda: to_thread(jobs.notifier.notify, "other"),
            lambda: to_thread(jobs.notifier.notify_all),
            lambda: schedules.put(PutSchedule("other", "s", "rule", "{}", "1")),
            lambda: schedules.remove("other", "s"),
            lambda: schedules.read("other"),
            lambda: schedules.restart("other", record, 1),
            lambda: schedules.fire(Fire("other", record, 1, ["id"], b"1", 0, 1)),
            lambda: inner.limits.put("other", JobLimit("queue", 1)),
            lambda: inner.limits.read("other"),
            lambda: leases.acquire("other", "me", 1),
            lambda: leases.renew(fence, 1),
            lambda: leases.release(fence),
            lambda: leases.look("other"),
        ]
        for at, ask in enumerate(outside):
            try:
                await ask()
            except AccessDeniedError:
                continue
            pytest.fail(f"{at} was not refused")
        assert await jobs.queues() == []
        await parts_of(memory).leases.acquire("another", "me", 60_000)
        mine = await leases.acquire("mine", "me", 60_000)
        assert [name for name, _ in await leases.list_held("", 1)] == ["mine"]
        assert mine.holder == "me"


async def test_a_refusal_needs_no_server(tmp_path: Path) -> None:
    memory = open_memory(f"sqlite:///{tmp_path}/none/memory.db", migrate=False)
    scope = memory.scoped("s", read=["aqe/a"])
    with pytest.raises(AccessDeniedError):
        await scope.store("aqe/a", 1)
    with pytest.raises(AccessDeniedError):
        await scope.retrieve("aqe/b")
    await memory.close()


# Patterns against the plain matcher

TEXTS = st.text("ab/*?[]!\\-%_", min_size=1, max_size=5)
KEYS = TEXTS.map(lambda text: f"aqe/{text}").filter(
    lambda key: "//" not in key and not key.endswith("/")
)


def is_pattern(text: str) -> bool:
    try:
        compile_glob(text)
    except ValueError:
        return False
    return True


PATTERNS = TEXTS.map(lambda text: f"aqe/{text}").filter(is_pattern)


@pytest.fixture
async def stored() -> AsyncGenerator[Memory]:
    async with open_memory("memory://") as memory:
        yield memory


@settings(max_examples=150)
@given(
    keys=st.sets(KEYS, max_size=8),
    scopes=st.lists(st.sets(PATTERNS, min_size=1, max_size=3), min_size=1, max_size=2),
    asked=PATTERNS | st.just("*"),
    limit=st.integers(1, 4),
)
async def test_a_scope_shows_what_its_patterns_match_and_no_more(
    keys: set[str], scopes: list[set[str]], asked: str, limit: int
) -> None:
    globs = [[*map(compile_glob, patterns)] for patterns in scopes]
    allowed = sorted(
        key for key in keys if all(any(glob.matches(key) for glob in each) for each in globs)
    )
    async with open_memory("memory://", cleanup_interval=None) as memory:
        await memory.store_many(dict.fromkeys(keys, 1))
        scope = memory
        for patterns in scopes:
            scope = scope.scoped("s", read=patterns)
        wanted = [key for key in allowed if compile_glob(asked).matches(key)]
        assert await found_by(scope.search(asked)) == wanted
        assert await found_by(scope.search(asked, limit=limit)) == wanted[:limit]
        assert await found_by(scope.list_keys()) == allowed
        for key in keys - {*allowed}:
            with pytest.raises(AccessDeniedError):
                await scope.exists(key)


async def found_by(asking: Any) -> list[str]:
    try:
        return list(await asking)
    except AccessDeniedError:
        return []


# Tools of models

RESULT = {"aqe/runs/shop/latest": "run-1", "aqe/secret": 1, "aqe/notes/a": 1, "aqe/notes/a/x": 2}


def tools_of(action: Action[Any]) -> Any:
    """Return the object that carries an action out."""
    return cast("Any", action.perform).__self__


@pytest.mark.parametrize("key", ["aqe/secret", "aqe/notes/b", "aqe/notes/a", "aqe/notes/ab"])
async def test_memory_tools_hold_no_more_than_their_area(stored: Memory, key: str) -> None:
    await stored.store_many(RESULT)
    for action in memory_actions(stored, "aqe/notes/a"):
        # Behind their own checks of arguments: what a defect in those would come to.
        held = tools_of(action)._memory
        with pytest.raises(AccessDeniedError):
            await held.retrieve(key)
        with pytest.raises(AccessDeniedError):
            await held.store(key, 1)
        assert await held.list_keys() == ["aqe/notes/a/x"]


async def test_fleet_tools_read_results_and_nothing_else(stored: Memory) -> None:
    await stored.store_many(RESULT)
    held: Memory = tools_of(fleet_actions(stored)[0])._memory
    assert await held.list_keys() == ["aqe/runs/shop/latest"]
    with pytest.raises(AccessDeniedError):
        await held.store("aqe/runs/shop/latest", 1)


async def test_work_tools_reach_their_queue_and_nothing_else(stored: Memory) -> None:
    await WorkQueue(stored, "jobs*").put(1)
    await WorkQueue(stored, "jobs-secret").put(2)
    claim, _ = work_actions(stored, "jobs*")
    assert (await claim.answer({}))["payload"] == 1
    calls = tools_of(claim)._queue._calls
    with pytest.raises(AccessDeniedError):
        await calls.claim("jobs-secret", 1, 1000)


@pytest.mark.integration
@pytest.mark.postgres
async def test_a_cursor_told_to_a_model_holds_no_key(postgres_url: str) -> None:
    async with open_memory(postgres_url, fleet=f"scopes-{uuid.uuid4().hex[:12]}") as memory:
        wait = memory_actions(memory, "aqe/notes/a")[3]
        begun = await wait.answer({"seconds": 0.01})
        await memory.store_many({f"aqe/secret/{number}": number for number in range(600)})
        await memory.store("aqe/notes/a/x", 1)
        told = await wait.answer({"since": begun["cursor"], "seconds": 10})
        assert told["change"]["key"] == "aqe/notes/a/x"
        assert "secret" not in str(told)
        await memory.clear_partition("default")
