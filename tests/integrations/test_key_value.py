"""FleetKeyValue beside a store of py-key-value itself, and what only a durable one does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from key_value.aio.protocols.key_value import (
    AsyncCullProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValue,
)
from key_value.aio.stores.simple import SimpleStore
from key_value.aio.wrappers.prefix_collections import PrefixCollectionsWrapper

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.integrations.key_value import FleetKeyValue
from lionagi_qe.testing.conformance.base import expire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ODD_TEXTS = ["a/b", "%", "%h", "a b", "ü€𝄞", "x" * 2_000, "ü" * 500, "..", "\x00", "*", "a::b"]


class StoreContract:
    """What py-key-value promises of a store."""

    async def test_a_value_comes_back(self, store: Any) -> None:
        value = {"text": "a", "deep": {"list": [1, None, True, 0.5]}}
        await store.put("k", value)
        assert await store.get("k") == value
        assert await store.ttl("k") == (value, None)
        assert await store.get("k", collection="other") is None
        assert await store.delete("k") is True
        assert await store.delete("k") is False
        assert await store.get("k") is None
        assert await store.ttl("k") == (None, None)

    async def test_a_ttl_is_told(self, store: Any) -> None:
        await store.put("k", {}, ttl=100)
        _, left = await store.ttl("k")
        assert 90 < left <= 100
        await store.put("k", {})
        assert await store.ttl("k") == ({}, None)

    async def test_many_at_once(self, store: Any) -> None:
        keys = [f"k{at}" for at in range(50)]
        await store.put_many(keys, [{"at": at} for at in range(50)], collection="c", ttl=100)
        found = await store.get_many(["k7", "none", "k3", "k7"], collection="c")
        assert found == [{"at": 7}, None, {"at": 3}, {"at": 7}]
        lasting = await store.ttl_many(["k7", "none"], collection="c")
        assert lasting[0][1] > 90
        assert lasting[1] == (None, None)
        assert await store.delete_many([*keys[:10], "none"], collection="c") == 10
        assert sorted(await store.keys("c")) == sorted(keys[10:])

    async def test_keys_and_collections_of_any_text(self, store: Any) -> None:
        for text in ODD_TEXTS:
            await store.put(text, {"text": text}, collection="c")
        for text in ODD_TEXTS:
            assert await store.get(text, collection="c") == {"text": text}
        assert sorted(await store.keys("c")) == sorted(ODD_TEXTS)

    async def test_collections_are_listed_and_destroyed(self, store: Any) -> None:
        for name in ("one", "two", "three"):
            await store.put("k", {}, collection=name)
        assert sorted(await store.collections()) == ["one", "three", "two"]
        assert await store.destroy_collection("one") is True
        assert sorted(await store.collections()) == ["three", "two"]
        await store.cull()
        assert await store.destroy() is True
        assert await store.collections() == []

    async def test_it_has_the_protocols_and_takes_wrappers(self, store: Any) -> None:
        assert isinstance(store, AsyncKeyValue)
        assert isinstance(store, AsyncEnumerateKeysProtocol)
        wrapped = PrefixCollectionsWrapper(key_value=store, prefix="mine")
        await wrapped.put("k", {"n": 1}, collection="c")
        assert await wrapped.get("k", collection="c") == {"n": 1}


@pytest.mark.filterwarnings("ignore:A configured store is unstable")
class TestTheirs(StoreContract):
    @pytest.fixture
    def store(self) -> SimpleStore:
        return SimpleStore()

    # It can't cull.
    test_collections_are_listed_and_destroyed = None  # type: ignore[assignment]


class TestOurs(StoreContract):
    @pytest.fixture
    def store(self, memory: Memory) -> FleetKeyValue:
        return FleetKeyValue(memory)

    async def test_collections_of_long_names_are_listed_as_they_were(
        self, store: FleetKeyValue, memory: Memory
    ) -> None:
        for text in ODD_TEXTS:
            await store.put("k", {}, collection=text)
        assert sorted(await store.collections()) == sorted(ODD_TEXTS)
        assert all(len(key) < 200 for key in await memory.list_keys())

    async def test_what_is_expired_is_gone(self, store: FleetKeyValue, memory: Memory) -> None:
        await store.put("k", {}, collection="c", ttl=0.02)
        await expire(memory, "aqe/key-value/c/k")
        assert await store.ttl("k", collection="c") == (None, None)
        assert await store.keys("c") == []
        assert await store.collections() == []
        await store.cull()
        assert (await memory.get_stats())["total_expired"] == 0

    async def test_what_is_put_without_a_ttl_has_the_memorys(self, memory: Memory) -> None:
        async with open_memory("memory://", default_ttl=100) as brief:
            store = FleetKeyValue(brief)
            await store.put("k", {})
            await store.put_many(["l"], [{}])
            for key in ("k", "l"):
                _, left = await store.ttl(key)
                assert left is not None
                assert 90 < left <= 100
        assert memory.default_ttl is None

    async def test_limits(self, store: FleetKeyValue) -> None:
        for name in "abcd":
            await store.put_many(["1", "2", "3", "x" * 200], [{}] * 4, collection=name)
        assert await store.keys("a", limit=2) == ["x" * 200, "1"]
        assert await store.collections(limit=2) == ["a", "b"]

    async def test_more_than_a_batch(self, memory: Memory) -> None:
        store = FleetKeyValue(memory)
        many = [f"{at:05}" for at in range(memory.max_batch + 10)]
        await store.put_many(many, [{}] * len(many))
        assert (await store.get_many([*many, "none"])).count({}) == len(many)
        assert await store.delete_many(many) == len(many)

    async def test_all_protocols_of_collections(self, store: FleetKeyValue) -> None:
        for protocol in (
            AsyncCullProtocol,
            AsyncDestroyCollectionProtocol,
            AsyncDestroyStoreProtocol,
            AsyncEnumerateCollectionsProtocol,
        ):
            assert isinstance(store, protocol)

    async def test_wrong_arguments_are_told(self, store: FleetKeyValue) -> None:
        with pytest.raises(errors.InvalidArgumentError, match="ttl"):
            await store.put("k", {}, ttl=0)
        with pytest.raises(errors.InvalidArgumentError, match="one value for each key"):
            await store.put_many(["a", "b"], [{}])
        with pytest.raises(errors.InvalidValueError):
            await store.put("k", {"x": {1}})
        assert await store.keys() == []


@pytest.fixture
async def opened(sqlite_url: str) -> AsyncIterator[FleetKeyValue]:
    async with FleetKeyValue(sqlite_url, fleet="mine", default_collection="d") as store:
        yield store


async def test_a_store_made_from_a_url(opened: FleetKeyValue, sqlite_url: str) -> None:
    await opened.put("k", {"n": 1})
    assert await asyncio.to_thread(asyncio.run, opened.get("k")) == {"n": 1}
    assert await opened.keys("d") == ["k"]
    async with open_memory(sqlite_url, fleet="mine") as memory:
        assert await memory.list_keys() == ["aqe/key-value/d/k"]
