"""Every argument of every public call, wrong: an error at the door, and nobody else's trouble."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.backends import on, url_of

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.coordination import Batch, Lease, Presence, Session, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.integration

NOT_SECONDS = ["5", -1, math.nan, True, b"5", [5]]
NOT_COUNTS = ["5", 0, -1, 1.5, True, b"5", None]
NOT_NAMES = [5, "", b"name", "line\nbreak", "x" * 600, "a\x00b", "\ud800"]
# parameter -> what it must not be; None where it may be left out.
WRONG: dict[str, list[Any]] = {
    "key": [*NOT_NAMES, None, "no/prefix", "aqe", "aqe/" + "ü" * 400],
    "session_key": [5, None, b"key", "line\nbreak", "x" * 600, "a\x00b", "\ud800"],
    "keys": ["aqe/a", 5, None, [5], ["no/prefix"], [None]],
    "items": [None, 5, "aqe/a", {"no/prefix": 1}, {5: 1}, {"aqe/a": object()}],
    "value": [object(), {1, 2}, math.nan, {5: 1}, "\ud800", b"bytes", [math.inf]],
    "payload": [object(), {1, 2}, math.nan, {5: 1}, "\ud800", b"bytes"],
    "payloads": [5, [object()], [math.inf]],
    "result": [object(), math.nan],
    "partition": NOT_NAMES,
    "prefix": [5, b"aqe/", ["aqe/"]],
    "key_after": [5, b"aqe/a", ["aqe/a"], "\x00", "\ud800"],
    "pattern": [5, b"*", ["*"], "\ud800", "x" * 2000],
    "since": [5, "", "garbage", "start ", "1:2:3", "\x00", "x" * 5000],
    "ttl": [*NOT_SECONDS, 0, math.inf],
    "timeout": [*NOT_SECONDS, 0, math.inf],
    "poll": [*NOT_SECONDS, 0, math.inf, None],
    "wait": NOT_SECONDS,
    "lease_ttl": [*NOT_SECONDS, 0, math.inf, None],
    "delay": ["5", -1, math.nan, True, b"5", math.inf],
    "job_timeout": [*NOT_SECONDS, 0, math.inf],
    "older_than": ["5", -1, math.nan, True, b"5", math.inf, [5]],
    "grace": ["5", -1, math.nan, True],
    "limit": [value for value in NOT_COUNTS if value is not None],
    "page_size": NOT_COUNTS,
    "concurrency": [value for value in NOT_COUNTS if value is not None],
    "per": ["worker", "", 5, None, b"queue", ["queue"]],
    "rate": [value for value in NOT_COUNTS if value is not None],
    "period": ["5", 0, -1, math.nan, True, b"5", math.inf, None, 400 * 86_400],
    "burst": [5, *(value for value in NOT_COUNTS if value is not None)],
    "limit_key": [5, "", b"d", "x" * 200, "line\nbreak", "a\x00b"],
    "priority": ["5", 1.5, True, None, 2**40],
    "if_revision": ["5", -1, 1.5, True, 2**70],
    "amount": ["5", None, math.nan, math.inf, 2**70, [1]],
    "fence": [5, "leader", ("leader", 1)],
    "dedupe": [5, "", b"d", "x" * 200, "line\nbreak", "a\x00b"],
    "on_duplicate": ["drop", "", 5, b"keep", None, ["keep"]],
    "dedupe_for": ["5", -1, math.nan, True, b"5", math.inf, None],
    "cron": ["", 5, None, b"* * * * *", "garbage", "* * * *", "61 * * * *", "0 0 31 2 *", "\x00"],
    "timezone": ["", 5, None, "Mars/Olympus", "../etc/passwd", "\x00"],
    "overlap": ["never", "", 5, None, ["skip"]],
    "missed": ["never", "", 5, None, ["once"]],
    "state": [5, "", None, "finished", b"ready", ["ready"]],
    "job_id": [5, None, b"id", "", "\x00", "x" * 1000, "\ud800"],
    "job_ids": ["id", 5, [5], [None], ["\x00"], ["x" * 1000], ["\ud800"]],
    "when": ["never", "", 5, None, ["all-done"]],
    "then": [object(), {1, 2}, math.nan, "\ud800"],
    "batch_id": [5, None, b"id", "", "\x00", "x" * 1000, "\ud800"],
    "after": [5, None, b"id", "\x00", "\ud800"],
    "values": ["yes", 1, None],
    "name": NOT_NAMES,
    "agent_id": NOT_NAMES,
    "group": NOT_NAMES,
    "holder": [5, "", b"h", "x" * 600, "line\nbreak"],
    "max_attempts": NOT_COUNTS,
    "result_ttl": [*NOT_SECONDS, 0, math.inf, None],
    "payload_type": [5, "no such type", object()],
    "fn": [5, None, "f"],
    "transaction": [5, "tx"],
    "query": [5, None, b"words", ["words"]],
    "index": [*NOT_NAMES, None, "a/b"],
    "text": [5, None, [5], [], [""], "$.", "a..b", "$[x]"],
    "fields": [5, None, "file", [5], [""], ["a..b"]],
    "embed": [5, "", b"name", [5]],
    "dims": [value for value in NOT_COUNTS if value is not None],
    "model": [5, "", b"model"],
    "texts_at_once": NOT_COUNTS,
    "usual_length": NOT_COUNTS,
    "override": [5, "", b"path", "a..b"],
    "replace_declared": ["yes", 1, None],
    "refresh": ["yes", 1, None],
    "vectors": ["yes", 1, None],
    "min_relevance": ["0.5", True, [0.5], 1.5, -1.5, math.nan, math.inf],
    "words": ["yes", 1, None],
    "each_text": ["yes", 1, None],
    "progress_called": [5, "yes", {}],
    "filter": [
        5,
        "file",
        [5],
        {5: 1},
        {"": 1},
        {"a..b": 1},
        {"a": {"$near": 1}},
        {"a": {"$in": 5}},
        {"a": b"no JSON"},
        {"a": {"$gt": b"no JSON"}},
        {"a": {"$in": [b"no JSON"]}},
    ],
    "steps": [5, [5]],
    "read": [5, None, "aqe/*", [5], [None], ["other/*"], ["aqe/\x00*"], [""]],
    "write": [5, None, "aqe/*", [5], [None], ["other/*"], ["aqe/\x00*"], [""]],
    "queues": [5, None, "jobs", [5], [None], ["\x00"]],
    "leases": [5, None, "leader", [5], [None], ["\x00"]],
}
# What each call is given for its other parameters.
RIGHT: dict[str, Any] = {
    "key": "aqe/args/a",
    "value": 1,
    "keys": ["aqe/args/a"],
    "items": {"aqe/args/a": 1},
    "pattern": "aqe/args/*",
    "partition": "args",
    "ttl": 60,
    "fn": lambda value: value,
    "prefix": "aqe/args/",
    "payload": 1,
    "payloads": [1],
    "job_id": "no-such-job",
    "then": 1,
    "batch_id": "no-such-batch",
    "cron": "0 3 * * *",
    "state": "ready",
    "name": "name",
    "query": "words",
    "index": "no-such-index",
    "agent_id": "agent",
}
# Keys of a session stand behind its own prefix, so that any text will do; pages of keys may begin
# anywhere.
OF_ITS_OWN_KIND = {
    (Session, "key"): "session_key",
    (Memory, "after"): "key_after",
    (Memory, "progress"): "progress_called",
}
# Of these, no value is wrong, or a wrong one can't be told from a right one.
FREE = {"default", "as_type", "info", "signals", "backoff", "handler", "memory", "self"}
SKIPPED_CALLS = {"open", "close", "transaction", "learn_many", "work", "consume", "stop"}


async def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    found = function(**arguments)
    if inspect.isawaitable(found):
        return await found
    if hasattr(found, "open"):  # A watch begins when it is opened.
        await found.open()
        return None
    return [each async for each in found]


def cases(kind: type[Any]) -> list[Any]:
    """Return the name of each public call of a class, a parameter, and values that are wrong."""
    found: list[Any] = []
    for name, function in inspect.getmembers(kind, inspect.isfunction):
        if name.startswith("_") or name in SKIPPED_CALLS:
            continue
        for parameter in inspect.signature(function).parameters:
            if parameter in FREE:
                continue
            own = OF_ITS_OWN_KIND.get((kind, parameter), parameter)
            case = f"{kind.__name__}.{name}-{parameter}"
            found.append(pytest.param(name, parameter, WRONG[own], id=case))
    return found


@pytest_asyncio.fixture(
    loop_scope="module", scope="module", params=on("sqlite", "postgresql", "redis")
)
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(
        url_of(request), fleet=f"args-{uuid.uuid4().hex[:12]}", cleanup_interval=None
    ) as opened:
        yield opened


async def refused(memory: Memory, call: Callable[[], Awaitable[Any]], wrong: Any) -> None:
    """Make a call beside one that is right; the first is refused, and changes nothing."""
    before = await memory.search("aqe/args/*")
    good = memory.store("aqe/beside", 1)
    bad, stored = await asyncio.gather(call(), good, return_exceptions=True)
    assert isinstance(bad, errors.AqeError), f"{wrong!r} came to {bad!r}"
    assert not isinstance(bad, errors.BackendUnavailableError), bad
    assert isinstance(stored, int), stored
    assert str(bad).strip()
    assert await memory.search("aqe/args/*") == before


async def all_refused(
    memory: Memory, function: Callable[..., Any], parameter: str, values: list[Any]
) -> None:
    """Make a call with each of the values, one after the other."""
    for wrong in values:
        arguments = given(function, parameter, wrong)
        await refused(memory, functools.partial(_call, function, arguments), wrong)


def given(function: Callable[..., Any], parameter: str, wrong: Any) -> dict[str, Any]:
    needed = {
        name: RIGHT[name]
        for name, each in inspect.signature(function).parameters.items()
        if each.default is inspect.Parameter.empty and name != "self"
    }
    return {**needed, parameter: wrong}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "parameter", "values"), cases(Memory))
async def test_of_the_memory(memory: Memory, name: str, parameter: str, values: list[Any]) -> None:
    await all_refused(memory, getattr(memory, name), parameter, values)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "parameter", "values"), cases(WorkQueue))
async def test_of_a_queue(memory: Memory, name: str, parameter: str, values: list[Any]) -> None:
    queue = WorkQueue(memory, "arguments")
    before = await queue.stats()
    await all_refused(memory, getattr(queue, name), parameter, values)
    assert await queue.stats() == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "parameter", "values"), cases(Batch))
async def test_of_a_batch(memory: Memory, name: str, parameter: str, values: list[Any]) -> None:
    batch = await WorkQueue(memory, "batches").batch([1], then=2)
    before = await batch.progress()
    await all_refused(memory, getattr(batch, name), parameter, values)
    assert await batch.progress() == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "parameter", "values"), cases(Session))
async def test_of_a_session(memory: Memory, name: str, parameter: str, values: list[Any]) -> None:
    async with Session(memory, "arguments") as session:
        await all_refused(memory, getattr(session, name), parameter, values)


@pytest.mark.asyncio(loop_scope="module")
async def test_of_a_lease(memory: Memory) -> None:
    lease = Lease(memory, "arguments")
    for wrong in WRONG["timeout"]:
        await refused(memory, functools.partial(lease.acquire, wrong), wrong)
    assert await lease.state() is None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "parameter", "wrong"),
    [
        ("ack", "result", object()),
        ("ack", "fence", 5),
        ("ack", "transaction", 5),
        ("progress", "value", object()),
        ("fail", "fence", "leader"),
        *(("fail", "delay", wrong) for wrong in WRONG["delay"]),
        *(("extend", "ttl", wrong) for wrong in WRONG["ttl"]),
    ],
)
async def test_of_a_job(memory: Memory, name: str, parameter: str, wrong: Any) -> None:
    queue = WorkQueue(memory, "jobs")
    await queue.put(1)
    (job,) = await queue.claim()
    arguments = {"error": "it failed"} if name == "fail" else {}
    call = getattr(job, name)
    await refused(memory, lambda: call(**{**arguments, parameter: wrong}), wrong)
    await job.ack()


@pytest.mark.parametrize("kind", [Lease, Presence, Session, WorkQueue])
def test_of_what_is_made_on_a_memory(kind: type[Any]) -> None:
    memory = open_memory("memory://")
    parameters = inspect.signature(kind).parameters
    for parameter in parameters.keys() - FREE:
        for wrong in WRONG[parameter]:
            needed = {"agent_id": "agent"} if kind is Presence else {"name": "name"}
            with pytest.raises(errors.AqeError, match=r"\w"):
                kind(memory, **{**needed, parameter: wrong})
