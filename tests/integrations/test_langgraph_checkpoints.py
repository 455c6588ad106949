"""FleetSaver by LangGraph's own conformance suite, and by what users of other savers ran into."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from tests.backends import on, url_of

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple

ODD_TEXTS = [
    *("a/b", "%", "%2F", "a b", "ü€𝄞", "x" * 2_000, "*", "..", "\x7f\n\x00", "a:b|c:d", "'; --"),
    "\ud800",
]
LONG = "x" * 300


@pytest_asyncio.fixture(params=on("memory", "sqlite", "postgresql", "redis", "cluster"))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(url_of(request), fleet=f"test-{uuid.uuid4().hex}") as opened:
        yield opened
        await erase(opened)


@pytest.fixture
def saver(memory: Memory) -> FleetSaver:
    return FleetSaver(memory)


def config(thread: Any = "t", namespace: str = "", checkpoint: str | None = None) -> RunnableConfig:
    named: dict[str, Any] = {"thread_id": thread, "checkpoint_ns": namespace}
    if checkpoint is not None:
        named["checkpoint_id"] = checkpoint
    return {"configurable": named}


async def put(
    saver: FleetSaver,
    where: RunnableConfig | None = None,
    values: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    **metadata: Any,
) -> RunnableConfig:
    """Put a checkpoint; all its values are new, at version "1", unless told otherwise."""
    values = dict(values or {})
    versions = dict(versions or dict.fromkeys(values, "1"))
    checkpoint = empty_checkpoint() | {
        "id": str(uuid6()),
        "channel_values": values,
        "channel_versions": versions,
    }
    return await saver.aput(
        where or config(),
        checkpoint,
        {"source": "loop", "step": 1, "parents": {}, **metadata},
        dict(versions if new is None else new),
    )


def id_of(where: RunnableConfig) -> str:
    return where["configurable"]["checkpoint_id"]


async def listed(saver: FleetSaver, where: RunnableConfig | None, **criteria: Any) -> list[str]:
    return [found.checkpoint["id"] async for found in saver.alist(where, **criteria)]


async def got(saver: FleetSaver, where: RunnableConfig) -> CheckpointTuple:
    found = await saver.aget_tuple(where)
    assert found is not None
    return found


async def test_the_published_conformance_suite(memory: Memory) -> None:
    @checkpointer_test(name="FleetSaver")
    async def make() -> AsyncIterator[FleetSaver]:
        yield FleetSaver(memory)

    report = await validate(make)
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert failures == []
    passed = {name for name, result in report.results.items() if result.passed}
    assert passed == {capability.value for capability in ALL_CAPABILITIES}


async def test_threads_and_namespaces_of_any_text(saver: FleetSaver) -> None:
    for text in [*ODD_TEXTS, 7]:
        where = config(text, str(text))
        stored = await put(saver, where, {"long": LONG})
        await saver.aput_writes(stored, [("ch", 1)], f"task {text if text != ODD_TEXTS[-1] else 0}")
        found = await got(saver, where)
        assert found.config == config(text, str(text), id_of(stored))
        assert found.checkpoint["channel_values"] == {"long": LONG}
        assert [write[1:] for write in found.pending_writes or []] == [("ch", 1)]
        assert await listed(saver, {"configurable": {"thread_id": text}}) == [id_of(stored)]
    everything = [found.config["configurable"] async for found in saver.alist(None)]
    assert {each["thread_id"] for each in everything} == {*ODD_TEXTS, "7"}
    assert {each["checkpoint_ns"] for each in everything} == {*ODD_TEXTS, "7"}


async def test_a_config_without_a_thread_is_told_so(saver: FleetSaver) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="names no thread"):
        await saver.aget_tuple({"configurable": {}})


async def test_writes_that_come_before_their_checkpoint_are_there(saver: FleetSaver) -> None:
    checkpoint = empty_checkpoint()
    await saver.aput_writes(config(checkpoint=checkpoint["id"]), [("__interrupt__", "?")], "t1")
    await saver.aput(config(), checkpoint, {"source": "loop"}, {})
    assert (await got(saver, config())).pending_writes == [("t1", "__interrupt__", "?")]


async def test_a_channel_that_did_not_change_is_not_written_again(
    saver: FleetSaver, memory: Memory
) -> None:
    values = {"big": [LONG], "small": 1, "text": LONG}
    first = await put(saver, values=values)

    async def revisions() -> dict[str, int]:
        entries = [entry async for entry in memory.scan("aqe/checkpoints/t/v/")]
        return {entry.key: entry.revision for entry in entries}

    before = await revisions()
    assert len(before) == 2
    values["small"] = 2
    versions = {"big": "1", "small": "2", "text": "1"}
    await put(saver, first, values, {"small": "2"}, versions)
    assert await revisions() == before
    assert (await got(saver, config())).checkpoint["channel_values"] == values


async def test_a_value_that_is_too_large_is_named_and_nothing_is_stored(sqlite_url: str) -> None:
    async with open_memory(sqlite_url, max_value_bytes=100_000) as small:
        saver = FleetSaver(small)
        with pytest.raises(errors.ValueTooLargeError, match=r"channel 'film'.*max_value_bytes"):
            await put(saver, values={"film": b"x" * 100_000, "other": [1]})
        stored = await put(saver, values={"other": [1]})
        with pytest.raises(errors.ValueTooLargeError, match="a write to 'film'"):
            await saver.aput_writes(stored, [("film", b"x" * 100_000)], "task")
        assert await listed(saver, config()) == [id_of(stored)]


async def test_many_large_values_at_once(sqlite_memory: Memory) -> None:
    values = {f"c{at}": bytes([at]) * 6_000_000 for at in range(12)}
    saver = FleetSaver(sqlite_memory)
    await put(saver, values=values)
    assert (await got(saver, config())).checkpoint["channel_values"] == values


async def test_a_task_s_writes_stay_and_its_special_ones_are_replaced(saver: FleetSaver) -> None:
    stored = await put(saver)
    await saver.aput_writes(stored, [("a", 1), ("b", 2)], "task", "path")
    await saver.aput_writes(stored, [("a", 9), ("b", 9), ("c", 3), ("__error__", "x")], "task")
    await saver.aput_writes(stored, [("__error__", "y")], "task")
    await asyncio.gather(
        *(saver.aput_writes(stored, [("d", at)] * (at + 1), "crowd") for at in range(8))
    )
    writes = (await got(saver, stored)).pending_writes or []
    of_task = [write[1:] for write in writes if write[0] == "task"]
    assert sorted(of_task) == [("__error__", "y"), ("a", 1), ("b", 2), ("c", 3)]
    assert len([write for write in writes if write[0] == "crowd"]) == 8


async def test_writes_come_in_the_order_in_which_they_apply(saver: FleetSaver) -> None:
    stored = await put(saver)
    await saver.aput_writes(stored, [("m", 3), ("m", 4)], "a-later", "~__pregel_pull, b")
    await saver.aput_writes(stored, [("m", 1), ("m", 2)], "z-first", "~__pregel_pull, a")
    await saver.aput_writes(stored, [("m", 0)], "zz")
    writes = (await got(saver, stored)).pending_writes or []
    assert [value for _, _, value in writes] == [0, 1, 2, 3, 4]


async def test_a_long_history_is_listed_newest_first_in_pages(saver: FleetSaver) -> None:
    where, ids = config(), []
    for step in range(45):
        where = await put(saver, where, {"n": [step]}, versions={"n": str(step)}, step=step)
        await saver.aput_writes(where, [("n", step)], "task")
        ids.insert(0, id_of(where))
        if step % 3 == 0:
            other = await put(saver, config("t", "sub:1"), step=step)
    assert await listed(saver, config()) == ids
    assert await listed(saver, config(), limit=21) == ids[:21]
    before = config(checkpoint=ids[10])
    assert await listed(saver, config(), before=before, limit=3) == ids[11:14]
    assert await listed(saver, config(), filter={"step": {"$lt": 2}}) == ids[-2:]
    assert await listed(saver, config(checkpoint=ids[5])) == ids[5:6]
    assert await listed(saver, config(), limit=0) == []
    whole = [found async for found in saver.alist(config())]
    assert [found.checkpoint["channel_values"]["n"] for found in whole] == [
        [step] for step in range(44, -1, -1)
    ]
    assert [found.pending_writes for found in whole[:2]] == [
        [("task", "n", 44)],
        [("task", "n", 43)],
    ]
    # Of all namespaces, by age.
    everywhere = await listed(saver, {"configurable": {"thread_id": "t"}})
    assert everywhere == sorted(everywhere, reverse=True)
    assert id_of(other) in everywhere
    assert len(everywhere) == 60


async def test_what_can_not_be_serialized_is_told_with_its_channel(sqlite_memory: Memory) -> None:
    saver = FleetSaver(sqlite_memory)
    with pytest.raises(TypeError) as refused:
        await put(saver, config("a"), values={"plan": range(3)}, new={"plan": "1"})
    assert "channel 'plan'" in refused.value.__notes__[0]


async def test_metadata_of_any_name_filter(saver: FleetSaver) -> None:
    mine = await put(saver, config("a"), tenant_id="acme", nested={"a": 1, "b": [1]})
    await put(saver, config("b"), tenant_id="globex", writes={"x": object})
    assert await listed(saver, None, filter={"tenant_id": "acme"}) == [id_of(mine)]
    assert await listed(saver, None, filter={"nested": {"a": 1}}) == [id_of(mine)]
    assert await listed(saver, None, filter={"missing": 1}) == []


@pytest.mark.parametrize("wanted", [{"n": {"$foo": 1}}, {"$or": [{"n": 1}]}, {"n": {"$in": [1]}}])
async def test_a_filter_that_is_none_is_refused_where_nothing_is_stored_too(
    sqlite_memory: Memory, wanted: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"\$"):
        await listed(FleetSaver(sqlite_memory), None, filter=wanted)


async def test_deleting_a_thread_spares_those_with_similar_names(
    saver: FleetSaver, memory: Memory
) -> None:
    for thread in ("a", "ab", "a/b", "a:b"):
        stored = await put(saver, config(thread, "sub"), {"v": [1]}, run_id="run")
        await saver.aput_writes(stored, [("c", 1)], "task")
    await saver.adelete_thread("a")
    left = [found.config["configurable"]["thread_id"] async for found in saver.alist(None)]
    assert sorted(left) == ["a/b", "a:b", "ab"]
    for thread in left:
        await saver.adelete_thread(thread)
    assert await memory.list_keys() == []


async def test_what_a_run_writes_after_its_thread_was_deleted_shows_nothing_and_can_be_deleted(
    saver: FleetSaver, memory: Memory
) -> None:
    late = await put(saver, config("late"), {"messages": ["a"] * 100})
    await saver.adelete_thread("late")
    await saver.aput_writes(late, [("messages", "b"), ("other", 1)], "task")
    assert await saver.aget_tuple(config("late")) is None
    assert await listed(saver, config("late")) == await listed(saver, None) == []
    # Its name may be used again.
    again = await put(saver, config("late"))
    assert await listed(saver, None) == [id_of(again)]
    await saver.adelete_thread("late")
    assert await memory.list_keys() == []


async def test_pruning_leaves_what_the_newest_needs_and_nothing_else(
    saver: FleetSaver, memory: Memory
) -> None:
    where = config()
    for step in range(4):
        values = {"kept": [LONG], "changing": [step]}
        new = values if not step else {"changing": str(step)}
        versions = {"kept": "1", "changing": str(step)}
        new = versions if not step else {"changing": str(step)}
        where = await put(saver, where, values, new, versions)
        await saver.aput_writes(where, [("changing", step)], "task")
    called = await put(
        saver, config("t", "node:task"), parents={"": id_of(await put(saver, config("u")))}
    )
    await saver.aprune(["t", "nobody"])
    assert await listed(saver, config()) == [id_of(where)]
    assert await listed(saver, config("t", "node:task")) == [id_of(called)]
    found = await got(saver, config())
    assert found.checkpoint["channel_values"] == {"kept": [LONG], "changing": [3]}
    assert found.pending_writes == [("task", "changing", 3)]
    assert len(await memory.list_keys("aqe/checkpoints/t/v/")) == 2
    assert len(await memory.list_keys("aqe/checkpoints/t/w/")) == 1
    with pytest.raises(errors.InvalidArgumentError, match="known are 'keep_latest' and 'delete'"):
        await saver.aprune(["t"], strategy="some")
    with pytest.raises(errors.InvalidArgumentError, match="give a list"):
        await saver.aprune("t")


async def test_calls_of_subgraphs_are_pruned_with_the_checkpoint_they_came_from(
    sqlite_memory: Memory,
) -> None:
    saver = FleetSaver(sqlite_memory)
    old = await put(saver)
    await put(saver, config("t", "node:1"), {"v": [1]}, parents={"": id_of(old)})
    lasting = await put(saver, config("t", "node"), parents={"": id_of(old)})
    new = await put(saver, old)
    last = await put(saver, config("t", "node:2"), parents={"": id_of(new)})
    await saver.aprune(["t"])
    assert {found.config["configurable"]["checkpoint_id"] async for found in saver.alist(None)} == {
        id_of(new),
        id_of(last),
        id_of(lasting),
    }


async def test_pruning_keeps_the_history_that_a_delta_channel_is_made_of(
    sqlite_memory: Memory,
) -> None:
    saver = FleetSaver(sqlite_memory)
    counters = {"counters_since_delta_snapshot": {"log": (1, 1)}}
    where = await put(saver, values={"log": _DeltaSnapshot(["too old"])}, versions={"log": "1"})
    where = await put(saver, where, {"log": _DeltaSnapshot(["a"])}, versions={"log": "2"})
    await saver.aput_writes(where, [("log", "b")], "task")
    for version in ("3", "4"):
        where = await put(saver, where, {}, {"log": version}, {"log": version}, **counters)
        await saver.aput_writes(where, [("log", version)], "task")
    before = await saver.aget_delta_channel_history(config=where, channels=["log"])
    assert [value for _, _, value in before["log"]["writes"]] == ["b", "3"]
    await saver.aprune(["t"])
    assert len(await listed(saver, config())) == 3
    assert await saver.aget_delta_channel_history(config=where, channels=["log"]) == before
    with pytest.raises(NotImplementedError, match="DeltaChannel"):
        await put(FleetSaver(sqlite_memory, ttl={"default_ttl": 1}), where, **counters)


async def test_what_a_checkpoint_needs_lives_as_long_as_it(memory: Memory) -> None:
    saver = FleetSaver(memory, ttl={"default_ttl": 1, "refresh_on_read": True})

    async def ends() -> tuple[Any, Any]:
        """When the newest checkpoint expires, and the first of what belongs to it."""
        newest = await anext(memory.scan("aqe/checkpoints/t/c/"))
        needed = [entry async for entry in memory.scan("aqe/checkpoints/t/v/")]
        needed += [entry async for entry in memory.scan("aqe/checkpoints/t/w/")]
        assert newest.expires_at is not None
        assert all(entry.expires_at is not None for entry in needed)
        return newest.expires_at, min(entry.expires_at for entry in needed)  # type: ignore[type-var]

    first = await put(saver, values={"v": [1]})
    await asyncio.sleep(0.02)
    await put(saver, first, {"v": [1]}, {}, {"v": "1"})
    put_end, needed_end = await ends()
    assert needed_end > put_end
    await asyncio.sleep(0.02)
    await saver.aput_writes(await _newest(saver), [("v", 2)], "task")
    written_end, needed_end = await ends()
    assert written_end > put_end
    assert needed_end > written_end
    await asyncio.sleep(0.02)
    await saver.aget_tuple(config())
    read_end, needed_end = await ends()
    assert needed_end > read_end > written_end


async def _newest(saver: FleetSaver) -> RunnableConfig:
    return (await got(saver, config())).config


async def test_a_copy_is_a_thread_of_its_own(saver: FleetSaver) -> None:
    stored = await put(saver, values={"v": [1]}, run_id="run")
    await saver.aput_writes(stored, [("c", 1)], "task")
    await saver.acopy_thread("t", "copy/of t")
    await saver.adelete_thread("t")
    found = await got(saver, config("copy/of t"))
    assert found.config["configurable"]["thread_id"] == "copy/of t"
    assert found.checkpoint["channel_values"] == {"v": [1]}
    assert found.pending_writes == [("task", "c", 1)]
    await saver.adelete_for_runs(["run"])
    assert await listed(saver, None) == []


def test_versions_grow_and_branches_never_make_the_same() -> None:
    saver = FleetSaver("memory://")
    first = saver.get_next_version(None, None)
    seconds = {saver.get_next_version(first, None) for _ in range(100)}
    assert len(seconds) == 100
    assert min(seconds) > first
    assert saver.get_next_version(9, None) > max(seconds)


@dataclass
class OfOurOwn:
    name: str


async def test_bytes_of_the_memory_make_no_object_that_was_not_allowed(
    sqlite_memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    """LangGraph's savers import and call whatever stored bytes name, unless told otherwise."""
    values = {"v": OfOurOwn("a"), "when": datetime(2026, 1, 2, tzinfo=UTC), "set": {1}}
    saver = FleetSaver(sqlite_memory)
    await put(saver, values=values)
    found = (await got(saver, config())).checkpoint["channel_values"]
    assert found == {**values, "v": {"name": "a"}}
    assert "OfOurOwn - not in allowed_msgpack_modules" in caplog.text
    allowing = saver.with_allowlist([(OfOurOwn.__module__, "OfOurOwn")])
    serde = JsonPlusSerializer(allowed_msgpack_modules=[OfOurOwn])
    for willing in (allowing, FleetSaver(sqlite_memory, serde=serde)):
        again = await willing.aget_tuple(config())
        assert again is not None
        assert again.checkpoint["channel_values"] == values
    with pytest.raises(NotImplementedError, match="pickle"):
        saver.serde.loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))


async def test_an_encrypting_serializer_leaves_nothing_readable(sqlite_memory: Memory) -> None:
    class Reversing:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "reversed", bytes(255 - byte for byte in plaintext)

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return bytes(255 - byte for byte in ciphertext)

    saver = FleetSaver(sqlite_memory, serde=EncryptedSerializer(Reversing()))
    values = {"small": "secret", "large": ["secret"]}
    stored = await put(saver, values=values, note="secret")
    await saver.aput_writes(stored, [("c", "secret")], "task")
    plain = [repr(entry.value) async for entry in sqlite_memory.scan()]
    assert not any("secret" in text for text in plain)
    assert (await got(saver, config())).checkpoint["channel_values"] == values


class TestFromUrl:
    def test_sync_calls_without_a_loop_and_from_threads(self, sqlite_url: str) -> None:
        with FleetSaver.from_conn_string(sqlite_url, fleet="mine", timeout=5) as saver:
            assert isinstance(saver.setup(), Awaitable)
            checkpoint = empty_checkpoint()
            stored = saver.put(config(), checkpoint, {"source": "loop"}, {})
            saver.put_writes(stored, [("c", 1)], "task")

            async def in_threads() -> list[Any]:
                reading = (asyncio.to_thread(saver.get_tuple, config()) for _ in range(20))
                return await asyncio.gather(*reading)

            found = asyncio.run(in_threads())
            assert all(each.pending_writes == [("task", "c", 1)] for each in found)
            assert [each.config for each in saver.list(config(), limit=1)] == [stored]
            next(saver.list(config()))
            saver.copy_thread("t", "u")
            saver.prune(["u"])
            saver.delete_for_runs(["none"])
            saver.delete_thread("t")
            assert [each.config for each in saver.list(None)] == [
                config("u", checkpoint=checkpoint["id"])
            ]
        with pytest.raises(errors.MemoryClosedError):
            saver.get_tuple(config())

    async def test_several_event_loops(self, sqlite_url: str) -> None:
        async with FleetSaver.from_conn_string(sqlite_url) as saver:
            await saver.asetup()
            stored = await put(saver)
            found = await asyncio.to_thread(asyncio.run, saver.aget_tuple(config()))
            assert found is not None
            assert found.config == stored
        await saver.close()
        with pytest.raises(errors.MemoryClosedError):
            await saver.aget_tuple(config())

    def test_a_forked_process_goes_on_by_itself(self, sqlite_url: str) -> None:
        with FleetSaver(sqlite_url) as saver:
            stored = saver.put(config(), empty_checkpoint(), {"source": "loop"}, {})
            child = os.fork()
            if not child:
                saver.put_writes(stored, [("c", "of the child")], "task")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            found = saver.get_tuple(config())
            assert found is not None
            assert found.pending_writes == [("task", "c", "of the child")]


async def test_a_sync_call_that_would_wait_for_itself_is_refused(sqlite_memory: Memory) -> None:
    saver = FleetSaver(sqlite_memory)
    for call in (
        lambda: saver.get_tuple(config()),
        lambda: saver.put(config(), empty_checkpoint(), {}, {}),
        lambda: saver.put_writes(config(checkpoint="1"), [("c", 1)], "task"),
        lambda: next(saver.list(config())),
    ):
        with pytest.raises(errors.InvalidArgumentError, match="would wait for itself"):
            call()
