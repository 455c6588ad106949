"""store_many, retrieve_many, delete_many: one atomic step each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import BatchTooLargeError, InvalidArgumentError, RevisionConflictError
from lionagi_qe.persistence import Item
from lionagi_qe.testing.conformance.base import Conformance, Connect

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory


class BatchesConformance(Conformance):
    """Many entries in one call."""

    async def test_a_batch_stores_all_and_returns_their_revisions(self, memory: Memory) -> None:
        values = {f"aqe/n/{at}": {"at": at} for at in range(100)}
        revisions = await memory.store_many(values, ttl=60, partition="p")
        assert revisions.keys() == values.keys()
        assert await memory.retrieve_many(values) == values
        async for entry in memory.scan("aqe/n/"):
            assert entry.revision == revisions[entry.key]
            assert entry.partition == "p"
            assert entry.expires_at is not None

    async def test_retrieve_many_gives_those_that_exist_in_the_order_asked(
        self, memory: Memory
    ) -> None:
        await memory.store_many({"aqe/a": 1, "aqe/b": None, "aqe/c": 3})
        found = await memory.retrieve_many(["aqe/c", "aqe/x", "aqe/b", "aqe/c", "aqe/a"])
        assert list(found.items()) == [("aqe/c", 3), ("aqe/b", None), ("aqe/a", 1)]

    async def test_delete_many_counts_each_key_once(self, memory: Memory) -> None:
        await memory.store_many({"aqe/a": 1, "aqe/b": 2, "aqe/c": 3})
        assert await memory.delete_many(["aqe/a", "aqe/b", "aqe/a", "aqe/x"]) == 2
        assert await memory.list_keys() == ["aqe/c"]

    async def test_empty_batches_are_fine(self, memory: Memory) -> None:
        assert await memory.store_many({}) == {}
        assert await memory.retrieve_many([]) == {}
        assert await memory.delete_many([]) == 0

    async def test_keys_may_come_from_an_iterator(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1)
        assert await memory.retrieve_many(key for key in ["aqe/a"]) == {"aqe/a": 1}
        assert await memory.delete_many(iter(["aqe/a"])) == 1

    async def test_one_string_is_no_list_of_keys(self, memory: Memory) -> None:
        with pytest.raises(InvalidArgumentError, match="list of keys"):
            await memory.retrieve_many("aqe/a")
        with pytest.raises(InvalidArgumentError, match="list of keys"):
            await memory.delete_many("aqe/a")

    async def test_items_have_settings_of_their_own(self, memory: Memory) -> None:
        old = await memory.store("aqe/cas", 1)
        await memory.store_many(
            {
                "aqe/plain": 1,
                "aqe/item": Item(2),
                "aqe/ttl": Item(3, ttl=None),
                "aqe/partition": Item(4, partition="own"),
                "aqe/cas": Item(5, if_revision=old),
                "aqe/new": Item(6, if_revision=0, ttl=120),
            },
            ttl=60,
            partition="shared",
        )
        entries = {entry.key: entry async for entry in memory.scan()}
        assert {key: entry.value for key, entry in entries.items()} == {
            "aqe/plain": 1,
            "aqe/item": 2,
            "aqe/ttl": 3,
            "aqe/partition": 4,
            "aqe/cas": 5,
            "aqe/new": 6,
        }
        assert entries["aqe/item"].partition == "shared"
        assert entries["aqe/partition"].partition == "own"
        assert entries["aqe/ttl"].expires_at is None
        new, plain = entries["aqe/new"].expires_at, entries["aqe/plain"].expires_at
        assert new is not None
        assert plain is not None
        assert 59 < (new - plain).total_seconds() < 61

    async def test_one_conflict_and_nothing_is_stored(self, memory: Memory) -> None:
        """The keys are few and sorted around the conflict, so that no order hides a part of it."""
        if memory.capabilities.atomic_batches != "all":
            keys = ["aqe/conflict"]
        else:
            keys = ["aqe/a", "aqe/conflict", "aqe/z"]
        before = await memory.store("aqe/conflict", "old", partition="before")
        batch: dict[str, Any] = dict.fromkeys(keys, "new")
        batch["aqe/conflict"] = Item("new", if_revision=before + 1_000_000)
        with pytest.raises(RevisionConflictError) as caught:
            await memory.store_many(batch, ttl=100, partition="after")
        assert caught.value.key == "aqe/conflict"
        assert caught.value.actual == before
        assert await memory.search("aqe/*") == {"aqe/conflict": "old"}
        assert (await memory.get_stats())["partitions"] == {"before": 1}

    async def test_a_batch_above_the_limit_is_refused_whole(
        self, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        memory = await opened.enter_async_context(connect(fleet=fleet, max_batch=3))
        keys = [f"aqe/{at}" for at in range(4)]
        for call in (
            memory.store_many(dict.fromkeys(keys, 1)),
            memory.retrieve_many(keys),
            memory.delete_many(keys),
        ):
            with pytest.raises(BatchTooLargeError, match="limit is 3"):
                await call
        await memory.store_many(dict.fromkeys(keys[:3], 1))
        assert await memory.list_keys() == keys[:3]

    async def test_a_batch_of_the_largest_size_is_one_call(self, memory: Memory) -> None:
        values = {f"aqe/n/{at}": at for at in range(10_000)}
        revisions = await memory.store_many(values)
        assert revisions.keys() == values.keys()
        assert await memory.retrieve_many(values) == values
        assert await memory.delete_many(values) == 10_000
        assert await memory.list_keys() == []
