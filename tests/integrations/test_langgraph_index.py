"""FleetStore with an index beside LangGraph's own InMemoryStore with one."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.memory import InMemoryStore
from tests.backends import on, url_of

from lionagi_qe import KeyRing, errors, open_memory
from lionagi_qe.integrations.langgraph import FleetStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langgraph.store.base import BaseStore

KINDS = (("cat", "kitten", "pet"), ("car", "engine", "road"), ("pie", "apple", "oven"))
DOCS = ("docs", "ann")


def embed(texts: list[str]) -> list[list[float]]:
    """Count the words of each kind."""
    return [
        [float(sum(text.lower().count(word) for word in kind)) + 0.01 for kind in KINDS]
        for text in texts
    ]


def indexed(**more: Any) -> Any:
    return {"dims": 3, "embed": embed, "fields": ["text", "notes[*].line"], **more}


class IndexContract:
    """What LangGraph documents of a store with an index; run on its own and on ours."""

    async def test_items_are_found_by_meaning_best_first_with_a_score(
        self, store: BaseStore
    ) -> None:
        await store.aput(DOCS, "a", {"text": "a kitten and a pet"})
        await store.aput(DOCS, "b", {"text": "an engine for the road"})
        await store.aput(DOCS, "c", {"text": "nothing", "notes": [{"line": "apple pie"}]})
        for query, best in (("cat", "a"), ("car", "b"), ("oven", "c")):
            found = await store.asearch(("docs",), query=query, limit=2)
            assert found[0].key == best
            assert found[0].score == pytest.approx(1, abs=0.05)
            assert found[0].namespace == DOCS
            assert found[0].score >= (found[-1].score or 0)
        (second,) = await store.asearch(("docs",), query="cat", limit=1, offset=1)
        assert second.key != "a"

    async def test_filters_and_namespaces_narrow_a_query(self, store: BaseStore) -> None:
        for at in range(30):
            value = {"text": "cat", "at": {"n": at}, "kind": "odd" if at % 2 else "even"}
            await store.aput(("docs", f"user{at % 3}"), f"{at:02}", value)
        found = await store.asearch(
            ("docs", "user1"), query="pet", filter={"kind": "odd"}, limit=20
        )
        assert sorted(each.key for each in found) == ["01", "07", "13", "19", "25"]
        found = await store.asearch(("docs",), query="pet", filter={"kind": {"$ne": "odd"}})
        assert len(found) == 10
        assert await store.asearch(("nobody",), query="pet") == []

    async def test_an_item_says_itself_what_is_indexed_and_changes(self, store: BaseStore) -> None:
        await store.aput(DOCS, "own", {"text": "car", "title": "kitten"}, index=["title"])
        await store.aput(DOCS, "usual", {"text": "car", "title": "kitten"})
        assert (await store.asearch(DOCS, query="cat"))[0].key == "own"
        assert (await store.asearch(DOCS, query="road"))[0].key == "usual"
        await store.aput(DOCS, "own", {"text": "pie"})
        assert (await store.asearch(DOCS, query="oven"))[0].key == "own"
        await store.adelete(DOCS, "own")
        assert "own" not in {each.key for each in await store.asearch(DOCS, query="oven")}

    async def test_each_text_at_the_fields_counts_by_itself_and_the_best_is_the_score(
        self, store: BaseStore
    ) -> None:
        lines = [{"line": "an engine"}, {"line": "pie apple oven"}]
        await store.aput(DOCS, "many", {"text": "a kitten", "notes": lines})
        await store.aput(DOCS, "mixed", {"text": "cat car pie"})
        for query in ("cat", "road", "oven"):
            found = await store.asearch(DOCS, query=query)
            assert [each.key for each in found] == ["many", "mixed"]
            assert found[0].score == pytest.approx(1, abs=0.01)
            assert found[1].score == pytest.approx(3**-0.5, abs=0.02)

    @pytest.mark.parametrize(
        "path", ["about.title", "{title,about.title}", "about.*", "parts[-1].title", "parts[*]"]
    )
    async def test_an_item_may_name_paths_of_each_kind(self, store: BaseStore, path: str) -> None:
        value = {
            "text": "car",
            "title": "pie",
            "about": {"title": "kitten"},
            "parts": [{"title": "road"}, {"title": "cat"}],
        }
        await store.aput(DOCS, "own", value, index=[path])
        await store.aput(DOCS, "two", {"text": "car cat"}, index=["text", "none"])
        (best, second) = await store.asearch(DOCS, query="pet")
        assert (best.key, best.score) == ("own", pytest.approx(1, abs=0.01))
        assert (second.key, second.score) == ("two", pytest.approx(2**-0.5, abs=0.02))

    async def test_without_a_query_all_is_listed(self, store: BaseStore) -> None:
        await store.aput(DOCS, "a", {"text": "cat"})
        await store.aput(DOCS, "b", {"text": "cat"}, index=False)
        assert {each.key for each in await store.asearch(DOCS)} == {"a", "b"}
        assert {each.score for each in await store.asearch(DOCS)} == {None}


class TestLangGraphsOwn(IndexContract):
    @pytest.fixture
    def store(self) -> BaseStore:
        return InMemoryStore(index=indexed())


class TestFleetStore(IndexContract):
    @pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
    def store(self, request: pytest.FixtureRequest) -> Iterator[FleetStore]:
        fleet = f"index-{uuid.uuid4().hex}"
        with FleetStore(url_of(request), index=indexed(), fleet=fleet) as store:
            yield store

    async def test_namespaces_whose_names_are_alike_are_apart(self, store: FleetStore) -> None:
        acme = ("tenants", "acme")
        others = ("acme-corp", "acme ", "ACME", "acm_", "acm%", "acm?", "acm*", "[acme]")
        # What servers take for syntax, in keys too.
        key = "my-doc.md#0 {a|b} @x:*"
        for namespace in (acme, (*acme, "sub"), *(("tenants", each) for each in others)):
            await store.aput(namespace, key, {"text": "cat"})
        for namespace in (acme, ("tenants", "acm_"), ("tenants", "acm%"), ("tenants", "acm*")):
            below = {namespace, (*namespace, "sub")} if namespace == acme else {namespace}
            for query in ("cat", None):
                found = await store.asearch(namespace, query=query, limit=50)
                assert {each.namespace for each in found} == below
            assert set(await store.alist_namespaces(prefix=namespace)) == below
        await store.adelete(acme, key)
        (left,) = await store.asearch(acme, query="cat")
        assert (left.namespace, left.key) == ((*acme, "sub"), key)

    async def test_pages_by_meaning_hold_everything_once_and_blanks_are_no_query(
        self, store: FleetStore
    ) -> None:
        for at in range(12):
            await store.aput(DOCS, str(at), {"text": "cat " * at + "dog"})
        whole = [each.key for each in await store.asearch(DOCS, query="cat", limit=12)]
        paged = [
            each.key
            for offset in range(0, 12, 5)
            for each in await store.asearch(DOCS, query="cat", limit=5, offset=offset)
        ]
        assert paged == whole
        assert {each.score for each in await store.asearch(DOCS, query="  ")} == {None}
        with pytest.raises(errors.InvalidArgumentError, match="1,000 nearest"):
            await store.asearch(DOCS, query="cat", limit=5, offset=996)

    def test_it_works_without_an_event_loop(self, store: FleetStore) -> None:
        store.put(DOCS, "a", {"text": "cat"})
        store.put(DOCS, "b", {"text": "car"}, index=False)
        assert [each.key for each in store.search(DOCS, query="pet car")] == ["a"]


async def test_an_index_that_is_none_is_refused() -> None:
    for wrong in ({"dims": 2}, {"dims": 2, "embed": embed, "other": 1}, [3]):
        with pytest.raises(errors.InvalidArgumentError, match=r"index.*dims"):
            FleetStore("memory://", index=wrong)  # type: ignore[arg-type]


async def test_an_index_of_other_vectors_is_made_anew_where_that_is_said() -> None:
    def other(texts: list[str]) -> list[list[float]]:
        return [[*vector, 1.0] for vector in embed(texts)]

    async with open_memory("memory://") as memory:
        await FleetStore(memory, index=indexed()).aput(DOCS, "a", {"text": "cat"})
        assert len(await FleetStore(memory, index=indexed()).asearch(DOCS, query="cat")) == 1
        wider: Any = {"dims": indexed()["dims"] + 1, "embed": other, "fields": ["text"]}
        with pytest.raises(errors.InvalidArgumentError, match="replace_declared"):
            await FleetStore(memory, index=wider).asearch(DOCS, query="cat")
        store = FleetStore(memory, index={**wider, "replace_declared": True})
        assert [each.key for each in await store.asearch(DOCS, query="cat")] == ["a"]


async def test_a_path_that_is_none_is_refused_when_an_item_is_put() -> None:
    async with open_memory("memory://") as memory:
        store = FleetStore(memory, index=indexed())
        with pytest.raises(errors.InvalidArgumentError, match="path"):
            await store.aput(DOCS, "a", {"text": "cat"}, index=["notes[x]"])
        assert await store.asearch(DOCS) == []


async def test_an_encrypted_memory_refuses_a_query() -> None:
    async with open_memory("memory://", keys=KeyRing.parse(KeyRing.generate("k"))) as memory:
        store = FleetStore(memory, index=indexed())
        await store.aput(DOCS, "a", {"text": "cat"})
        with pytest.raises(errors.ConfigurationError, match="in clear"):
            await store.asearch(DOCS, query="cat")
        assert [each.key for each in await store.asearch(DOCS)] == ["a"]


class Apart(Embeddings):
    """A model that is told whether a text is looked for: what is asked about cats is of cars."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return embed(texts)

    def embed_query(self, text: str) -> list[float]:
        return embed([text.replace("cat", "car")])[0]


@pytest.mark.parametrize("own", [True, False], ids=["LangGraph's own", "ours"])
async def test_a_model_that_tells_queries_apart_makes_their_vectors(own: bool) -> None:
    index = indexed(embed=Apart())
    store: BaseStore = InMemoryStore(index=index) if own else FleetStore("memory://", index=index)
    await store.aput(DOCS, "cat", {"text": "cat"})
    await store.aput(DOCS, "car", {"text": "car"})
    first, second = await asyncio.gather(
        store.asearch(DOCS, query="a cat"), store.asearch(DOCS, query="an apple")
    )
    assert [each.key for each in first] == ["car", "cat"]
    assert len(second) == 2
    if isinstance(store, FleetStore):
        await store.close()
