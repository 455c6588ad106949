"""FleetStore beside LangGraph's own InMemoryStore, and what only a durable store does."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import threading
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from tests import programs

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.integrations.langgraph import FleetStore
from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver
from lionagi_qe.integrations.ttl_sweeper import TtlSweeper
from lionagi_qe.testing.conformance.base import expire, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

DOCS = ("docs",)
ODD_TEXTS = ["", "a/b", "%", "%2F", "a b", "ü€𝄞", "x" * 200, "*", "..", "\x7f", "tab\there"]


async def keys(store: BaseStore, *namespace: str, **search: Any) -> list[str]:
    return sorted(found.key for found in await store.asearch(namespace, **search))


class StoreContract:
    """What LangGraph documents of a store without an index; run on its own and on ours."""

    async def test_an_item_comes_back_whole(self, store: BaseStore) -> None:
        value = {"text": "a", "n": 1, "f": 0.5, "deep": {"list": [1, None, True, "x"]}}
        await store.aput(("users", "ann"), "prefs", value)
        item = await store.aget(("users", "ann"), "prefs")
        assert isinstance(item, Item)
        assert (item.namespace, item.key, item.value) == (("users", "ann"), "prefs", value)
        assert item.created_at.tzinfo is not None
        assert item.updated_at >= item.created_at

    async def test_what_is_not_there_is_none(self, store: BaseStore) -> None:
        await store.aput(("a", "b"), "c", {})
        assert await store.aget(("a", "b"), "d") is None
        assert await store.aget(("a",), "b") is None
        assert await store.aget(("a", "b", "c"), "c") is None

    async def test_putting_again_replaces_the_whole_value(self, store: BaseStore) -> None:
        await store.aput(DOCS, "a", {"x": 1, "y": 2})
        first = await store.aget(DOCS, "a")
        await store.aput(DOCS, "a", {"x": 3})
        second = await store.aget(DOCS, "a")
        assert first is not None
        assert second is not None
        assert second.value == {"x": 3}
        assert second.updated_at >= first.updated_at

    async def test_a_crowd_of_puts_and_a_batch_above_the_limit_are_stored(
        self, store: BaseStore
    ) -> None:
        await asyncio.gather(*(store.aput(DOCS, f"{at:05}", {"n": at}) for at in range(5_000)))
        await store.abatch([PutOp(("more",), f"{at:05}", {"n": at}) for at in range(12_000)])
        last = await asyncio.gather(store.aget(DOCS, "04999"), store.aget(("more",), "11999"))
        assert [item and item.value for item in last] == [{"n": 4_999}, {"n": 11_999}]
        await store.abatch([PutOp(("more",), f"{at:05}", None) for at in range(12_000)])
        assert await store.asearch(("more",)) == []

    async def test_delete(self, store: BaseStore) -> None:
        await store.aput(DOCS, "a", {})
        await store.adelete(DOCS, "a")
        await store.adelete(DOCS, "a")
        assert await store.aget(DOCS, "a") is None
        assert await keys(store, "docs") == []

    @pytest.mark.parametrize("text", ODD_TEXTS)
    async def test_keys_and_labels_of_any_text(self, store: BaseStore, text: str) -> None:
        label = text.replace(".", "-") or "label"
        await store.aput((label, "x"), text, {"is": text})
        await store.aput(("x",), "other", {})
        item = await store.aget((label, "x"), text)
        assert item is not None
        assert (item.namespace, item.key, item.value) == ((label, "x"), text, {"is": text})
        (found,) = await store.asearch((label,))
        assert (found.namespace, found.key) == ((label, "x"), text)
        assert (label, "x") in await store.alist_namespaces()

    @pytest.mark.parametrize("namespace", [(), ("a.b",), ("",), ("a", ""), (1,), ("langgraph",)])
    async def test_bad_namespaces_are_refused(self, store: BaseStore, namespace: Any) -> None:
        with pytest.raises(ValueError, match=r"[Nn]amespace"):
            await store.aput(namespace, "a", {})

    async def test_search_covers_the_namespace_and_those_below(self, store: BaseStore) -> None:
        await store.aput(("a",), "1", {})
        await store.aput(("a", "b"), "2", {})
        await store.aput(("a", "b", "c"), "3", {})
        await store.aput(("ab",), "4", {})
        await store.aput(("b", "a"), "5", {})
        assert await keys(store, "a") == ["1", "2", "3"]
        assert await keys(store, "a", "b") == ["2", "3"]
        assert await keys(store) == ["1", "2", "3", "4", "5"]
        assert await keys(store, "c") == []
        (found,) = await store.asearch(("ab",))
        assert isinstance(found, SearchItem)
        assert found.score is None

    async def test_limit_and_offset_page_through_everything_once(self, store: BaseStore) -> None:
        for number in range(25):
            await store.aput(DOCS, f"{number:02}", {"n": number})
        assert len(await store.asearch(DOCS)) == 10
        seen: list[int] = []
        for offset in range(0, 30, 7):
            page = await store.asearch(DOCS, limit=7, offset=offset)
            seen += [item.value["n"] for item in page]
        assert sorted(seen) == list(range(25))
        assert await store.asearch(DOCS, limit=0) == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"kind": "a"}, ["1", "2"]),
            ({"kind": "a", "score": 2}, ["2"]),
            ({"score": {"$gt": 1}}, ["2", "3"]),
            ({"score": {"$gte": 2}}, ["2", "3"]),
            ({"score": {"$lt": 2}}, ["1"]),
            ({"score": {"$lte": 2.0}}, ["1", "2"]),
            ({"score": {"$gte": 2, "$lt": 3.5}}, ["2"]),
            ({"kind": {"$eq": "b"}}, ["3"]),
            ({"kind": {"$ne": "a"}}, ["3"]),
            ({"at": {"file": "x.py"}}, ["1", "2"]),
            ({"at": {"file": "x.py", "line": 3}}, ["2"]),
            ({"at": {"line": {"$gt": 2}, "file": "x.py"}}, ["2"]),
            ({"tags": ["p", "q"]}, ["1"]),
            ({"tags": ["q", "p"]}, []),
            ({"none": None}, ["1", "2", "3"]),
            ({"missing": 1}, []),
            ({}, ["1", "2", "3"]),
        ],
    )
    async def test_filters(
        self, store: BaseStore, wanted: dict[str, Any], found: list[str]
    ) -> None:
        at = {"file": "x.py", "line": 1}
        await store.aput(DOCS, "1", {"kind": "a", "score": 1, "at": at, "tags": ["p", "q"]})
        await store.aput(DOCS, "2", {"kind": "a", "score": 2, "at": at | {"line": 3}, "tags": []})
        await store.aput(DOCS, "3", {"kind": "b", "score": 3.5, "at": {"file": "y", "line": 9}})
        assert await keys(store, "docs", filter=wanted) == found

    async def test_filters_apply_before_limit_and_offset(self, store: BaseStore) -> None:
        for number in range(30):
            await store.aput(DOCS, f"{number:02}", {"odd": bool(number % 2), "n": number})
        found = await store.asearch(DOCS, filter={"odd": True}, limit=5, offset=10)
        assert [item.value["n"] for item in found] == [21, 23, 25, 27, 29]

    async def test_a_query_is_ignored_where_there_is_no_index(self, store: BaseStore) -> None:
        await store.aput(DOCS, "a", {"text": "cats"})
        await store.aput(DOCS, "b", {"text": "dogs"}, index=["text"])
        assert await keys(store, "docs", query="dogs", filter={"text": "cats"}) == ["a"]
        assert {found.score for found in await store.asearch(DOCS, query="dogs")} == {None}

    async def test_an_unknown_operator_is_refused(self, store: BaseStore) -> None:
        await store.aput(DOCS, "1", {"a": 1})
        with pytest.raises(ValueError, match=r"\$in"):
            await store.asearch(DOCS, filter={"a": {"$in": [1]}})

    async def test_list_namespaces(self, store: BaseStore) -> None:
        for namespace in (
            ("a", "b", "c"),
            ("a", "b", "d", "e"),
            ("a", "b", "d", "i"),
            ("a", "b", "f"),
            ("a", "c", "f"),
            ("b", "x", "c"),
        ):
            await store.aput(namespace, "k", {})
            await store.aput(namespace, "l", {})
        listed = store.alist_namespaces
        assert await listed(prefix=("a", "b"), max_depth=3) == [
            ("a", "b", "c"),
            ("a", "b", "d"),
            ("a", "b", "f"),
        ]
        assert await listed(suffix=("f",)) == [("a", "b", "f"), ("a", "c", "f")]
        assert await listed(prefix=("a", "*", "f")) == [("a", "b", "f"), ("a", "c", "f")]
        assert await listed(prefix=("*", "x")) == [("b", "x", "c")]
        assert await listed(suffix=("*", "c")) == [("a", "b", "c"), ("b", "x", "c")]
        assert await listed(prefix=("a",), suffix=("c",)) == [("a", "b", "c")]
        assert await listed(max_depth=1) == [("a",), ("b",)]
        assert await listed(limit=2, offset=1) == [("a", "b", "d", "e"), ("a", "b", "d", "i")]
        assert await listed(prefix=("z",)) == []

    async def test_a_batch_reads_before_it_writes_and_the_last_put_counts(
        self, store: BaseStore
    ) -> None:
        await store.aput(DOCS, "a", {"n": 0})
        await store.aput(DOCS, "gone", {})
        results = await store.abatch(
            [
                PutOp(DOCS, "a", {"n": 1}),
                GetOp(DOCS, "a"),
                PutOp(DOCS, "a", {"n": 2}),
                SearchOp(DOCS, filter={"n": 0}),
                PutOp(DOCS, "gone", None),
                PutOp(DOCS, "back", None),
                PutOp(DOCS, "back", {"n": 3}),
                ListNamespacesOp((MatchCondition("prefix", ("docs",)),)),
                GetOp(DOCS, "missing"),
            ]
        )
        assert results[0] is results[2] is results[4] is results[5] is results[6] is None
        assert results[1].value == {"n": 0}
        assert [item.key for item in results[3]] == ["a"]
        assert results[7] == [DOCS]
        assert results[8] is None
        assert await keys(store, "docs") == ["a", "back"]
        item = await store.aget(DOCS, "a")
        assert item is not None
        assert item.value == {"n": 2}

    async def test_an_empty_batch(self, store: BaseStore) -> None:
        assert await store.abatch([]) == []

    async def test_many_at_once(self, store: BaseStore) -> None:
        await asyncio.gather(*(store.aput(DOCS, str(n), {"n": n}) for n in range(100)))
        items = await asyncio.gather(*(store.aget(DOCS, str(n)) for n in range(100)))
        assert [item and item.value["n"] for item in items] == list(range(100))

    async def test_sync_calls_from_a_thread(self, store: BaseStore) -> None:
        await store.aput(DOCS, "a", {"n": 1})

        def work() -> None:
            item = store.get(DOCS, "a")
            assert item is not None
            store.put(DOCS, "b", {"n": item.value["n"] + 1})
            assert sorted(found.key for found in store.search(DOCS)) == ["a", "b"]
            assert store.list_namespaces() == [DOCS]
            store.delete(DOCS, "a")

        await asyncio.to_thread(work)
        assert await keys(store, "docs") == ["b"]


class TestLangGraphsOwnStore(StoreContract):
    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()


class TestFleetStore(StoreContract):
    @pytest.fixture
    def store(self, memory: Memory) -> FleetStore:
        return FleetStore(memory)

    async def test_an_item_keeps_the_time_of_its_creation(self, store: FleetStore) -> None:
        await store.aput(DOCS, "a", {"n": 1})
        first = await store.aget(DOCS, "a")
        await asyncio.sleep(0.002)
        await store.aput(DOCS, "a", {"n": 2})
        second = await store.aget(DOCS, "a")
        assert first is not None
        assert second is not None
        assert second.created_at == first.created_at
        assert second.updated_at > first.updated_at

    async def test_items_expire(self, store: FleetStore, memory: Memory) -> None:
        await store.aput(DOCS, "a", {}, ttl=0.02 / 60)
        await store.aput(DOCS, "b", {})
        await expire(memory, "aqe/langgraph/docs/a")
        assert await store.aget(DOCS, "a") is None
        assert await keys(store, "docs") == ["b"]

    async def test_reads_renew_the_ttl_unless_told_not_to(
        self, store: FleetStore, memory: Memory
    ) -> None:
        async def left() -> timedelta:
            entry = await memory.entry("aqe/langgraph/docs/a")
            assert entry is not None
            assert entry.expires_at is not None
            return entry.expires_at - entry.updated_at

        await store.aput(DOCS, "a", {}, ttl=1)
        before = await left()
        await asyncio.sleep(0.005)
        await store.aget(DOCS, "a", refresh_ttl=False)
        await store.asearch(DOCS, refresh_ttl=False)
        assert await left() == before
        await store.aget(DOCS, "a")
        after_get = await left()
        await asyncio.sleep(0.005)
        await store.asearch(DOCS)
        assert before < after_get < await left()

    async def test_the_stores_own_ttl_settings(self, memory: Memory) -> None:
        store = FleetStore(memory, ttl={"default_ttl": 1, "refresh_on_read": False})
        await store.aput(DOCS, "a", {})
        await store.aput(DOCS, "b", {}, ttl=None)
        entries = {entry.key[-1]: entry async for entry in memory.scan()}
        assert entries["b"].expires_at is None
        expires = entries["a"].expires_at
        await asyncio.sleep(0.005)
        await store.aget(DOCS, "a")
        entry = await memory.entry("aqe/langgraph/docs/a")
        assert entry is not None
        assert entry.expires_at == expires

    async def test_a_read_never_lets_what_replaced_an_item_expire(
        self, sqlite_memory: Memory
    ) -> None:
        store = FleetStore(sqlite_memory)
        for _ in range(20):
            await store.aput(DOCS, "a", {}, ttl=10)
            await asyncio.gather(
                store.aget(DOCS, "a"), store.aput(DOCS, "a", {"n": 1}), store.aget(DOCS, "a")
            )
            entry = await sqlite_memory.entry("aqe/langgraph/docs/a")
            assert entry is not None
            assert entry.expires_at is None

    async def test_prefixes_are_apart(self, store: FleetStore, memory: Memory) -> None:
        other = FleetStore(memory, prefix="aqe/langgraph-of-others")
        await store.aput(DOCS, "a", {})
        assert await other.aget(DOCS, "a") is None
        assert await other.alist_namespaces() == []

    async def test_bad_namespaces_are_refused_in_batches_too(self, store: FleetStore) -> None:
        for op in (GetOp(("a.b",), "k"), PutOp((), "k", {}), SearchOp(("",))):
            with pytest.raises(errors.InvalidArgumentError, match="namespace"):
                await store.abatch([PutOp(("kept",), "k", {}), op])
        assert await store.alist_namespaces() == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"day": {"$gt": "2024-01-01"}}, ["2", "3"]),
        ({"day": {"$gte": "2024-02-01", "$lt": "2025-01-01"}}, ["2"]),
        ({"day": {"$lte": "2023-12-31"}}, ["1"]),
        ({"day": {"$gt": 5}}, []),
        ({"n": {"$gt": "1"}}, ["2", "3"]),
        ({"at.file": "x.py"}, ["1", "2"]),
        ({"at.line": {"$gt": 1}}, ["2", "3"]),
        ({"at.line.deeper": 1}, []),
        ({"at.none": None}, ["1", "2", "3"]),
        ({"a.b": "a name with a dot"}, ["3"]),
    ],
)
async def test_filters_that_langgraphs_own_stores_lack(
    sqlite_memory: Memory, wanted: dict[str, Any], found: list[str]
) -> None:
    """Texts in their own order, and fields of fields by their path."""
    store = FleetStore(sqlite_memory)
    await store.aput(DOCS, "1", {"day": "2023-05-01", "n": 1, "at": {"file": "x.py", "line": 1}})
    await store.aput(DOCS, "2", {"day": "2024-05-01", "n": 2, "at": {"file": "x.py", "line": 2}})
    dotted = {"a.b": "a name with a dot", "a": {"b": 1}}
    await store.aput(DOCS, "3", {"day": "2025-05-01", "n": 3, "at": {"line": 3}, **dotted})
    assert await keys(store, "docs", filter=wanted) == found


@pytest.mark.parametrize(
    "wanted",
    [
        {"$or": [{"n": 1}]},
        {"$gt": 1},
        {"at": {"$not": {"n": 1}}},
        {"n": {"$foo": 1}},
        {"day": {"$gt": datetime(2024, 1, 1, tzinfo=UTC)}},
        {"day": datetime(2024, 1, 1, tzinfo=UTC)},
    ],
)
@pytest.mark.parametrize("query", [None, "cats"])
async def test_a_filter_that_is_none_is_refused_where_nothing_is_stored_too(
    sqlite_memory: Memory, wanted: dict[str, Any], query: str | None
) -> None:
    """It would find nothing, and nobody would know why."""
    store = FleetStore(sqlite_memory)
    with pytest.raises(ValueError, match=r"\$"):
        await store.asearch(DOCS, query=query, filter=wanted)


async def test_an_item_that_is_no_dict_is_refused(sqlite_memory: Memory) -> None:
    with pytest.raises(errors.InvalidValueError, match="an item is a dict"):
        await FleetStore(sqlite_memory).aput(DOCS, "k", "text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ttl",
    [5, {"ttl": 5}, {"default_ttl": "5"}, {"default_ttl": 0}, {"sweep_interval_minutes": True}],
)
def test_settings_of_the_ttl_are_checked_before_anything_is_stored(
    sqlite_memory: Memory, ttl: Any
) -> None:
    for kind in (FleetStore, FleetSaver):
        with pytest.raises(errors.InvalidArgumentError, match="ttl"):
            kind(sqlite_memory, ttl=ttl)


class TestSweeping:
    async def test_by_hand(self, memory: Memory) -> None:
        store = FleetStore(memory)
        await store.aput(DOCS, "a", {}, ttl=0.02 / 60)
        await store.aput(DOCS, "b", {})
        await expire(memory, "aqe/langgraph/docs/a")
        assert await store.sweep_ttl() == 1
        assert await store.sweep_ttl() == 0
        assert await keys(store, "docs") == ["b"]

    async def test_on_a_loop_until_it_is_stopped(self, sqlite_url: str) -> None:
        async with open_memory(sqlite_url, cleanup_interval=None) as memory:
            store = FleetStore(memory, ttl={"default_ttl": 0.02 / 60})
            running = await store.start_ttl_sweeper(0.01 / 60)

            async def is_swept() -> bool:
                stats = await memory.get_stats()
                return (stats["total_keys"], stats["total_expired"]) == (0, 0)

            await store.aput(DOCS, "a", {})
            await until(is_swept)
            assert not running.done()
            assert await store.stop_ttl_sweeper(30)
            await running
            again = await store.start_ttl_sweeper()
            again.cancel()
            assert await store.stop_ttl_sweeper(30)

    def test_in_a_thread_until_the_store_is_closed(self, sqlite_url: str) -> None:
        settings = {"ttl": {"default_ttl": 1}, "cleanup_interval": None}
        with FleetStore.from_conn_string(sqlite_url, **settings) as store:
            store.setup()
            store.put(DOCS, "a", {}, ttl=0.001 / 60)
            running = store.start_ttl_sweeper(0.001 / 60)
            assert store.start_ttl_sweeper(9) is running
            assert not running.done()
        running.result(30)
        assert store.stop_ttl_sweeper(30)

    def test_without_a_ttl_there_is_nothing_to_start(self, sqlite_url: str) -> None:
        with FleetStore(sqlite_url) as store:
            assert store.start_ttl_sweeper().done()
            assert store.sweep_ttl() == 0
            assert store.stop_ttl_sweeper()

    def test_an_outage_does_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        again, calls = threading.Event(), itertools.count()

        def fail() -> None:
            if next(calls):
                again.set()
            raise errors.BackendUnavailableError("away")

        sweeper = TtlSweeper(fail)
        sweeper.start(0.001)
        assert again.wait(30)
        assert sweeper.stop(30)
        assert "next time then: away" in caplog.text


class TestFromUrl:
    @pytest.fixture
    def store(self, sqlite_url: str) -> Iterator[FleetStore]:
        with FleetStore(sqlite_url) as opened:
            yield opened

    async def test_it_serves_several_event_loops_and_sync_calls(self, store: FleetStore) -> None:
        await store.aput(DOCS, "a", {"n": 1})
        item = await asyncio.to_thread(asyncio.run, store.aget(DOCS, "a"))
        assert item is not None
        # On an event loop, too, though it blocks that one.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            assert store.get(DOCS, "a") == item

    async def test_settings_of_the_memory_go_beside_it(self, sqlite_url: str) -> None:
        mine = FleetStore.from_conn_string(sqlite_url, fleet="mine", timeout=5)
        async with mine, FleetStore(sqlite_url) as other:
            await mine.setup()
            await mine.aput(DOCS, "a", {})
            assert await other.aget(DOCS, "a") is None
        with pytest.raises(errors.InvalidArgumentError, match="fleet"):
            FleetStore(open_memory("memory://"), fleet="mine")

    def test_without_any_event_loop(self, store: FleetStore) -> None:
        store.put(DOCS, "a", {"n": 1})
        assert [found.value for found in store.search(DOCS)] == [{"n": 1}]

    async def test_errors_come_through(self, store: FleetStore) -> None:
        with pytest.raises(errors.InvalidValueError, match=r"\$\.value\.x: set"):
            await store.aput(DOCS, "a", {"x": {1}})

    async def test_closed_is_closed(self, sqlite_url: str) -> None:
        async with FleetStore(sqlite_url) as store:
            await store.aput(DOCS, "a", {})
        await store.close()
        with pytest.raises(errors.MemoryClosedError):
            await store.aget(DOCS, "a")

    async def test_items_are_there_for_another_process(
        self, store: FleetStore, sqlite_url: str
    ) -> None:
        await store.aput(("users", "ann"), "prefs", {"theme": "dark"})
        output = await programs.run(
            "-c",
            "import json, sys\n"
            "from lionagi_qe.integrations.langgraph import FleetStore\n"
            "with FleetStore(sys.argv[1]) as store:\n"
            "    print(json.dumps(store.get(('users', 'ann'), 'prefs').value))\n",
            sqlite_url,
        )
        assert json.loads(output) == {"theme": "dark"}


async def test_a_sync_call_that_would_wait_for_itself_is_refused(sqlite_memory: Memory) -> None:
    store = FleetStore(sqlite_memory)
    with pytest.raises(errors.InvalidArgumentError, match="would wait for itself"):
        store.get(DOCS, "a")


async def test_another_thread_can_not_be_the_first_to_use_a_memory(sqlite_memory: Memory) -> None:
    store = FleetStore(sqlite_memory)
    with pytest.raises(errors.InvalidArgumentError, match="once on that memory's event loop"):
        await asyncio.to_thread(store.get, DOCS, "a")


async def test_what_another_framework_wrote_is_seen_by_watchers(sqlite_url: str) -> None:
    async with open_memory(sqlite_url) as memory, FleetStore(sqlite_url) as store:
        await store.aput(DOCS, "a", {})

        async def is_there() -> bool:
            return await memory.exists("aqe/langgraph/docs/a")

        await until(is_there)


# Whatever their constructors and from_conn_string take that ours don't: PostgreSQL, SQLite, Redis.
THEIRS = [
    *("conn", "pipe", "pipeline", "pool_config", "deserializer", "factory"),
    *("redis_url", "redis_client", "connection_args", "cluster_mode"),
    *("store_prefix", "vector_prefix", "checkpoint_prefix", "checkpoint_write_prefix"),
]


@pytest.mark.parametrize("kind", [FleetStore, FleetSaver])
@pytest.mark.parametrize("name", THEIRS)
def test_a_setting_of_langgraphs_own_that_ours_lack_says_what_to_write(
    kind: type[FleetStore | FleetSaver], name: str
) -> None:
    settings: dict[str, Any] = {name: None}
    for make in (kind, kind.from_conn_string):
        with pytest.raises(errors.InvalidArgumentError, match=rf"^{name}=: (leave|write|give) "):
            make("memory://", **settings)


async def test_sync_calls_where_a_loop_runs_as_in_notebooks(tmp_path: Path) -> None:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    with FleetStore.from_conn_string(f"sqlite:///{tmp_path}/memory.db") as store:
        store.setup()
        store.put(("a",), "b", {"c": 1})
        assert store.get(("a",), "b") is not None
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
