"""Keys in pages, the levels of a tree, and what goes by its prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.testing.conformance.base import Conformance, expire

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


class PagingConformance(Conformance):
    """list_keys and scan from a key on, list_children, delete_prefix."""

    async def test_keys_come_in_pages_of_any_size(self, memory: Memory) -> None:
        keys = [f"aqe/n/{at:03}" for at in range(25)]
        await memory.store_many(dict.fromkeys([*keys, "aqe/m", "aqe/o"], 1))
        for size in (1, 7, 25, 100):
            seen: list[str] = []
            after: str | None = None
            while page := await memory.list_keys("aqe/n/", limit=size, after=after):
                assert len(page) <= size
                seen += page
                after = page[-1]
            assert seen == keys

    @pytest.mark.parametrize(
        ("after", "found"),
        [
            ("aqe/m", ["aqe/n/1", "aqe/n/2"]),
            ("aqe/n/1", ["aqe/n/2"]),
            ("aqe/n/1x", ["aqe/n/2"]),
            ("aqe/n/2", []),
            ("aqe/z", []),
            ("", ["aqe/n/1", "aqe/n/2"]),
        ],
    )
    async def test_after_never_leaves_the_prefix(
        self, memory: Memory, after: str, found: list[str]
    ) -> None:
        await memory.store_many(dict.fromkeys(["aqe/m", "aqe/n/1", "aqe/n/2", "aqe/o"], 1))
        assert await memory.list_keys("aqe/n/", after=after) == found
        assert [entry.key async for entry in memory.scan("aqe/n/", after=after)] == found

    async def test_children_are_one_level(self, memory: Memory) -> None:
        await memory.store_many(
            dict.fromkeys(
                ["aqe/a", "aqe/a/b", "aqe/a/b-c", "aqe/a/b/c/d", "aqe/a/b/e", "aqe/a/f/g"], 1
            )
        )
        assert await memory.list_children("aqe/") == ["aqe/a", "aqe/a/"]
        children = ["aqe/a/b", "aqe/a/b-c", "aqe/a/b/", "aqe/a/f/"]
        assert await memory.list_children("aqe/a/") == children
        assert await memory.list_children("aqe/a/b/") == ["aqe/a/b/c/", "aqe/a/b/e"]
        assert await memory.list_children("aqe/z/") == []
        for at, child in enumerate(children):
            assert await memory.list_children("aqe/a/", after=child) == children[at + 1 :]
            assert await memory.list_children("aqe/a/", limit=at + 1) == children[: at + 1]

    async def test_children_with_many_keys_below_are_told_once(self, memory: Memory) -> None:
        for name in "abc":
            await memory.store_many({f"aqe/big/{name}/{at:04}": at for at in range(700)})
        await memory.store_many({f"aqe/big/small-{at:03}": at for at in range(300)})
        children = await memory.list_children("aqe/big/")
        assert children[:3] == ["aqe/big/a/", "aqe/big/b/", "aqe/big/c/"]
        assert children[3:] == [f"aqe/big/small-{at:03}" for at in range(300)]

    @pytest.mark.parametrize("prefix", ["aqe/a", "", 7, "aqe/\x00/"])
    async def test_children_of_no_level_are_refused(self, memory: Memory, prefix: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="prefix"):
            await memory.list_children(prefix)

    async def test_a_prefix_is_deleted_whole_and_counted(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/old/{at:04}": at for at in range(2_300)})
        await memory.store_many(dict.fromkeys(["aqe/old", "aqe/older/1", "aqe/olc"], 1))
        await memory.store("aqe/old/gone", 1, ttl=0.02)
        await expire(memory, "aqe/old/gone")
        assert await memory.delete_prefix("aqe/old/") == 2_300
        assert await memory.delete_prefix("aqe/old/") == 0
        assert await memory.list_keys() == ["aqe/olc", "aqe/old", "aqe/older/1"]

    @pytest.mark.parametrize("prefix", [None, "", "aqe", "aqe/", 7])
    async def test_deleting_everything_by_an_empty_prefix_is_refused(
        self, memory: Memory, prefix: Any
    ) -> None:
        await memory.store("aqe/a", 1)
        with pytest.raises(InvalidArgumentError, match="prefix"):
            await memory.delete_prefix(prefix)
        assert await memory.list_keys() == ["aqe/a"]

    async def test_many_are_read_with_all_that_is_known_of_them(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, partition="p")
        await memory.store("aqe/b", 2)
        found = await memory.entries_many(["aqe/b", "aqe/none", "aqe/a", "aqe/b"])
        assert list(found) == ["aqe/b", "aqe/a"]
        assert found["aqe/a"] == await memory.entry("aqe/a")
        assert await memory.entries_many([]) == {}

    async def test_many_are_read_as_a_type(self, memory: Memory) -> None:
        await memory.store_many({"aqe/a": "1", "aqe/b": "2"})
        assert await memory.retrieve_many(["aqe/a", "aqe/b"], as_type=str) == {
            "aqe/a": "1",
            "aqe/b": "2",
        }
        await memory.store("aqe/b", [])
        with pytest.raises(InvalidValueError, match="aqe/b"):
            await memory.retrieve_many(["aqe/a", "aqe/b"], as_type=str)
