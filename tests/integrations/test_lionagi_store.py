"""FleetMemoryStore beside LionAGI's own store, and what only a durable store does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from lionagi import InMemoryStore, MemoryItem, MemoryQuery, MemoryStore, Session
from lionagi.testing import TestBranch
from pydantic import BaseModel
from tests import programs

from lionagi_qe import Memory, errors
from lionagi_qe.integrations.lionagi import FleetMemoryStore
from lionagi_qe.testing.conformance.base import expire

if TYPE_CHECKING:
    from collections.abc import Callable


NO_LOGS = {"auto_save_on_exit": False}


def item(content: Any, *tags: str, **metadata: Any) -> MemoryItem:
    return MemoryItem(content=content, tags=list(tags), metadata=metadata)


async def contents(store: MemoryStore, **query: Any) -> list[Any]:
    return [found.content for found in await store.search(MemoryQuery(**query))]


class MemoryStoreContract:
    """What LionAGI promises of a memory store; run on its own and on ours."""

    async def test_satisfies_the_protocol(self, store: MemoryStore) -> None:
        assert isinstance(store, MemoryStore)

    async def test_an_item_comes_back_whole(self, store: MemoryStore) -> None:
        stored = item({"finding": ["flaky", 3, None]}, "flaky", "auth", source="run-7", depth=2)
        assert await store.store(stored) == stored.id
        found = await store.retrieve(stored.id)
        assert found is not None
        assert found.to_dict() == stored.to_dict()

    async def test_an_unknown_id_is_none(self, store: MemoryStore) -> None:
        assert await store.retrieve(uuid4()) is None

    async def test_storing_again_replaces_and_keeps_the_place(self, store: MemoryStore) -> None:
        first, second = item("first"), item("second")
        await store.store(first)
        # Places are told by the time of creation, which servers tell in milliseconds.
        await asyncio.sleep(0.005)
        await store.store(second)
        first.content = "first, corrected"
        await store.store(first)
        assert await contents(store) == ["first, corrected", "second"]

    async def test_an_empty_query_finds_all_in_the_order_of_storing(
        self, store: MemoryStore
    ) -> None:
        for number in range(15):
            await store.store(item(number))
        assert await contents(store) == list(range(15))

    async def test_at_most_twenty_by_default(self, store: MemoryStore) -> None:
        for number in range(25):
            await store.store(item(number))
        assert await contents(store) == list(range(20))

    @pytest.mark.parametrize(("limit", "found"), [(0, []), (2, [0, 1]), (9, [0, 1, 2])])
    async def test_limit(self, store: MemoryStore, limit: int, found: list[int]) -> None:
        for number in range(3):
            await store.store(item(number))
        assert await contents(store, limit=limit) == found

    async def test_text_in_any_case_of_letters(self, store: MemoryStore) -> None:
        await store.store(item("The login is FLAKY"))
        await store.store(item("Checkout is fine"))
        await store.store(item("Über-flaky"))
        assert await contents(store, text="flaky") == ["The login is FLAKY", "Über-flaky"]
        assert await contents(store, text="ÜBER") == ["Über-flaky"]
        assert await contents(store, text="") == await contents(store)

    async def test_text_is_found_in_structured_content(self, store: MemoryStore) -> None:
        await store.store(item({"test": "test_login", "rate": 0.25}))
        await store.store(item(["test_pay", None, True]))
        assert await contents(store, text="TEST_LOGIN") == [{"test": "test_login", "rate": 0.25}]
        assert await contents(store, text="none") == [["test_pay", None, True]]
        assert await contents(store, text="'rate': 0.25") == [{"test": "test_login", "rate": 0.25}]

    async def test_one_of_the_tags_is_enough(self, store: MemoryStore) -> None:
        await store.store(item(1, "a", "b"))
        await store.store(item(2, "b", "c"))
        await store.store(item(3))
        assert await contents(store, tags=["a", "c"]) == [1, 2]
        assert await contents(store, tags=["d"]) == []
        assert await contents(store, tags=[]) == [1, 2, 3]

    async def test_all_filters_must_fit(self, store: MemoryStore) -> None:
        await store.store(item(1, branch="a", depth=1))
        await store.store(item(2, branch="a", depth=2, at={"file": "x.py"}))
        await store.store(item(3, branch="b", depth=2))
        assert await contents(store, filters={"branch": "a", "depth": 2}) == [2]
        assert await contents(store, filters={"at": {"file": "x.py"}}) == [2]
        assert await contents(store, filters={"at": None}) == [1, 3]
        assert await contents(store, filters={"branch": "A"}) == []
        assert await contents(store, filters={}) == [1, 2, 3]

    async def test_criteria_combine_before_the_limit(self, store: MemoryStore) -> None:
        for number in range(6):
            await store.store(item(f"finding {number}", "odd" if number % 2 else "even", run="r"))
        found = await contents(store, text="finding", tags=["odd"], filters={"run": "r"}, limit=2)
        assert found == ["finding 1", "finding 3"]

    async def test_branches_of_a_session_share_it(self, store: MemoryStore) -> None:
        session = Session(
            memory=store, default_branch=TestBranch.from_text("unused", log_config=NO_LOGS)
        )
        other = TestBranch.from_text("unused", log_config=NO_LOGS)
        session.include_branches(other)
        stored = item("shared")
        await session.default_branch.memory.store(stored)
        found = await other.memory.retrieve(stored.id)
        assert found is not None
        assert found.content == "shared"

    async def test_stores_at_once(self, store: MemoryStore) -> None:
        await asyncio.gather(*(store.store(item(number)) for number in range(50)))
        assert sorted(await contents(store, limit=100)) == list(range(50))


class TestLionagisOwnStore(MemoryStoreContract):
    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()


class TestFleetMemoryStore(MemoryStoreContract):
    @pytest.fixture
    def store(self, memory: Memory) -> FleetMemoryStore:
        return FleetMemoryStore(memory)

    async def test_items_are_read_by_another_handle(
        self, store: FleetMemoryStore, memory: Memory
    ) -> None:
        stored = item("durable", "a", source="here")
        await store.store(stored)
        other = FleetMemoryStore(memory)
        found = await other.retrieve(stored.id)
        assert found is not None
        assert found.to_dict() == stored.to_dict()

    async def test_prefixes_are_apart(self, store: FleetMemoryStore, memory: Memory) -> None:
        other = FleetMemoryStore(memory, prefix="aqe/lionagi/items-of-others")
        stored = item("mine")
        await store.store(stored)
        assert await other.retrieve(stored.id) is None
        assert await contents(other) == []

    async def test_items_expire(self, memory: Memory) -> None:
        store = FleetMemoryStore(memory, ttl=0.02)
        stored = item("soon gone")
        await store.store(stored)
        await expire(memory, f"aqe/lionagi/items/{stored.id}")
        assert await store.retrieve(stored.id) is None
        assert await contents(store) == []

    async def test_delete(self, store: FleetMemoryStore) -> None:
        stored = item("wrong")
        await store.store(stored)
        assert await store.delete(stored.id)
        assert not await store.delete(stored.id)
        assert await store.retrieve(stored.id) is None

    async def test_the_oldest_of_more_than_it_holds(self, store: FleetMemoryStore) -> None:
        for number in range(3):
            await store.store(item(number))
        await asyncio.gather(*(store.store(item(number)) for number in range(3, 700)))
        assert await contents(store, limit=3) == [0, 1, 2]


RESTARTED = """
import asyncio, json, sys
from lionagi import MemoryQuery, Session
from lionagi.testing import TestBranch
from lionagi_qe.integrations.lionagi import FleetMemoryStore

async def main(url):
    async with FleetMemoryStore(url) as store:
        session = Session(memory=store, default_branch=TestBranch.from_text("unused"))
        found = await session.memory.search(MemoryQuery(tags=["kept"]))
        print(json.dumps([item.to_dict(mode="json") for item in found]))

asyncio.run(main(sys.argv[1]))
"""


async def test_items_survive_the_process_that_stored_them(sqlite_url: str) -> None:
    stored = item({"line_coverage": 81.5}, "kept", branch="b1")
    async with FleetMemoryStore(sqlite_url) as store:
        await store.store(stored)
    output = await programs.run("-c", RESTARTED, sqlite_url)
    assert json.loads(output) == [stored.to_dict(mode="json")]


async def test_a_memory_that_was_handed_in_stays_open(sqlite_memory: Memory) -> None:
    async with FleetMemoryStore(sqlite_memory):
        pass
    assert await sqlite_memory.exists("aqe/anything") is False


async def test_a_memory_opened_from_a_url_is_closed(sqlite_url: str) -> None:
    async with FleetMemoryStore(sqlite_url) as store:
        pass
    with pytest.raises(errors.MemoryClosedError):
        await store.retrieve(uuid4())


async def test_a_ranked_store_finds_what_says_it_best(memory: Memory) -> None:
    store = FleetMemoryStore(memory, prefix="aqe/ranked", ranked=True)
    for content, tag in (
        ("The login is flaky after a token refresh", "a"),
        ({"note": "refresh the token before it ends"}, "b"),
        ("sums of floats", "a"),
    ):
        await store.store(item(content, tag))
    found = await contents(store, text="flaky token refresh")
    assert found == [
        "The login is flaky after a token refresh",
        {"note": "refresh the token before it ends"},
    ]
    assert await contents(store, text="token", tags=["b"]) == found[1:]
    assert await contents(store, text="flaky refresh", limit=1) == found[:1]
    assert await contents(store, text="nothing alike") == []
    assert len(await contents(store)) == 3
    with pytest.raises(errors.InvalidArgumentError, match="ranked=True"):
        FleetMemoryStore(memory, embed="model", dims=3)


async def test_a_ranked_store_with_vectors_finds_by_meaning(sqlite_memory: Memory) -> None:
    def embed(texts: list[str]) -> list[list[float]]:
        return [[float("cat" in text or "kitten" in text), 0.1] for text in texts]

    store = FleetMemoryStore(sqlite_memory, ranked=True, embed=embed, dims=2, model="cats")
    await store.store(item("about a kitten"))
    await store.store(item("about a car"))
    assert (await contents(store, text="cat"))[0] == "about a kitten"


class Weight(BaseModel):
    grams: int


async def test_models_and_tuples_come_back_as_json(sqlite_memory: Memory) -> None:
    store = FleetMemoryStore(sqlite_memory)
    stored = item(Weight(grams=3), where=("a.py", 7))
    await store.store(stored)
    found = await store.retrieve(stored.id)
    assert found is not None
    assert (found.content, found.metadata) == ({"grams": 3}, {"where": ["a.py", 7]})
    assert await contents(store, filters={"where": ("a.py", 7)}) == [{"grams": 3}]


class Finding(MemoryItem):
    severity: int = 0


async def test_items_of_a_class_of_ones_own(sqlite_memory: Memory) -> None:
    store = FleetMemoryStore(sqlite_memory, item_type=Finding)
    stored = Finding(content="leak", severity=3)
    await store.store(stored)
    found = await store.retrieve(stored.id)
    assert isinstance(found, Finding)
    assert found.severity == 3


class VectorQuery(MemoryQuery):
    embedding: list[float] | None = None


REFUSED: list[tuple[Callable[[FleetMemoryStore], Any], type[Exception], str]] = [
    (lambda store: store.store(Finding(content=1)), errors.InvalidValueError, "item_type=Finding"),
    (lambda store: store.store(item({1, 2})), errors.InvalidValueError, r"\$\.content: set"),
    (lambda store: store.store(item(b"x")), errors.InvalidValueError, r"\$\.content: bytes"),
    (lambda store: store.retrieve("7"), errors.InvalidArgumentError, "'7': an id is a UUID"),
    (
        lambda store: store.search(VectorQuery(embedding=[0.5])),
        errors.InvalidArgumentError,
        "query with 'embedding'",
    ),
    (
        lambda store: store.search(MemoryQuery(limit=-1)),
        errors.InvalidArgumentError,
        "limit -1",
    ),
    (
        lambda store: store.search(MemoryQuery(filters={"id": uuid4()})),
        errors.InvalidValueError,
        r"\$\.id: UUID",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
async def test_what_it_can_not_do_is_refused_by_name(
    sqlite_memory: Memory,
    call: Callable[[FleetMemoryStore], Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        await call(FleetMemoryStore(sqlite_memory))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"memory": None}, errors.InvalidArgumentError),
        ({"memory": "mysql://host"}, errors.UnknownSchemeError),
        ({"memory": "memory://", "prefix": "lionagi"}, errors.InvalidKeyError),
        ({"memory": "memory://", "ttl": 0}, errors.InvalidArgumentError),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FleetMemoryStore(**settings)
