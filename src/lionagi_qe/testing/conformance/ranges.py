"""Searches, listings, scans, partitions, statistics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

TREE = [
    "aqe/a",
    "aqe/a/b",
    "aqe/a/b/c",
    "aqe/ab",
    "aqe/a%b",
    "aqe/a_b",
    "aqe/a*b",
    "aqe/a?b",
    "aqe/a[b]",
    "aqe/a\\b",
    "aqe/b/1",
    "aqe/b/2",
    "aqe/b/10",
    "aqe/é/x",
    "aqe/\uffee/x",
    "aqe/😀/x",
    "aqe/-/x",
    "aqe/]/x",
]
GLOBS: list[tuple[str, list[str]]] = [
    ("aqe/*", TREE),
    ("*", TREE),
    ("**", TREE),
    ("aqe/a", ["aqe/a"]),
    ("aqe/a/*", ["aqe/a/b", "aqe/a/b/c"]),
    ("aqe/a/", []),
    ("aqe/a/?", ["aqe/a/b"]),
    ("aqe/a?b", ["aqe/a/b", "aqe/a%b", "aqe/a_b", "aqe/a*b", "aqe/a?b", "aqe/a\\b"]),
    ("aqe/a\\?b", ["aqe/a?b"]),
    ("aqe/a\\*b", ["aqe/a*b"]),
    ("aqe/a\\\\b", ["aqe/a\\b"]),
    ("aqe/a\\[b\\]", ["aqe/a[b]"]),
    ("aqe/a\\[*", ["aqe/a[b]"]),
    ("aqe/a%b", ["aqe/a%b"]),
    ("aqe/a_b", ["aqe/a_b"]),
    ("aqe/a%", []),
    ("aqe/b/[12]", ["aqe/b/1", "aqe/b/2"]),
    ("aqe/b/[0-9]", ["aqe/b/1", "aqe/b/2"]),
    ("aqe/b/[!1]", ["aqe/b/2"]),
    ("aqe/b/[!0-9]", []),
    ("aqe/b/[0-9]*", ["aqe/b/1", "aqe/b/10", "aqe/b/2"]),
    ("aqe/[-x]/x", ["aqe/-/x"]),
    ("aqe/[]]/x", ["aqe/]/x"]),
    ("aqe/[!a-z]/x", ["aqe/-/x", "aqe/]/x", "aqe/é/x", "aqe/\uffee/x", "aqe/😀/x"]),
    ("aqe/?/x", ["aqe/-/x", "aqe/]/x", "aqe/é/x", "aqe/\uffee/x", "aqe/😀/x"]),
    ("aqe/*/x", ["aqe/-/x", "aqe/]/x", "aqe/é/x", "aqe/\uffee/x", "aqe/😀/x"]),
    ("aqe/*b*c", ["aqe/a/b/c"]),
    ("*b", ["aqe/a%b", "aqe/a*b", "aqe/a/b", "aqe/a?b", "aqe/a\\b", "aqe/a_b", "aqe/ab"]),
    ("other/*", []),
    ("", []),
]


class RangesConformance(Conformance):
    """Search, list_keys, scan, clear_partition, get_stats."""

    @pytest.mark.parametrize(("pattern", "keys"), GLOBS, ids=lambda case: ascii(case)[:24])
    async def test_one_glob_dialect_everywhere(
        self, memory: Memory, pattern: str, keys: list[str]
    ) -> None:
        await memory.store_many({key: key for key in TREE})
        found = await memory.search(pattern)
        assert found == {key: key for key in keys}
        assert list(found) == sorted(keys)

    @pytest.mark.parametrize(
        "pattern", ["aqe/[a", "aqe/[", "aqe/[!", "aqe/a\\", "aqe/[z-a]", "a" * 1025, None, 7]
    )
    async def test_a_pattern_that_makes_no_sense_is_refused(
        self, memory: Memory, pattern: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="pattern"):
            await memory.search(pattern)

    async def test_a_pattern_made_to_stall_matchers_ends_at_once(self, memory: Memory) -> None:
        await memory.store("aqe/" + "a" * 500, 1)
        assert await memory.search("aqe/" + "*a" * 100 + "b") == {}

    async def test_keys_are_sorted_by_code_point(self, memory: Memory) -> None:
        await memory.store_many(dict.fromkeys(reversed(TREE), 1))
        assert await memory.list_keys() == sorted(TREE)
        assert [entry.key async for entry in memory.scan(page_size=3)] == sorted(TREE)
        assert list(await memory.search("aqe/*")) == sorted(TREE)

    @pytest.mark.parametrize(
        "prefix", ["aqe/a", "aqe/a/", "aqe/a%", "aqe/a*", "aqe/a[", "aqe/é", "aqe/😀", "a", "", "b"]
    )
    async def test_a_prefix_is_plain_text(self, memory: Memory, prefix: str) -> None:
        await memory.store_many(dict.fromkeys(TREE, 1))
        expected = sorted(key for key in TREE if key.startswith(prefix))
        assert await memory.list_keys(prefix) == expected
        assert [entry.key async for entry in memory.scan(prefix)] == expected

    @pytest.mark.parametrize("prefix", [7, "aqe/\x00", "\ud800"])
    async def test_a_prefix_that_no_key_can_have_is_refused(
        self, memory: Memory, prefix: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="prefix"):
            await memory.list_keys(prefix)
        with pytest.raises(InvalidArgumentError, match="prefix"):
            _ = [entry async for entry in memory.scan(prefix)]

    async def test_search_stops_at_its_limit(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/n/{at:04}": at for at in range(50)})
        assert list((await memory.search("aqe/n/*", limit=3)).values()) == [0, 1, 2]
        assert list((await memory.search("aqe/n/*9", 2)).values()) == [9, 19]
        assert len(await memory.search("aqe/n/*", limit=1000)) == 50
        for limit in (0, -1, 1.5, True, "1"):
            with pytest.raises(InvalidArgumentError, match="limit"):
                await memory.search("aqe/*", limit=limit)  # type: ignore[arg-type]

    async def test_a_crowd_of_questions_is_answered_and_stops_no_change(
        self, memory: Memory
    ) -> None:
        values = {f"aqe/n/{at:04}": at for at in range(20)}
        await memory.store_many(values)
        found = asyncio.gather(*(memory.search("aqe/n/*") for _ in range(200)))
        changed = asyncio.gather(*(memory.increment(f"aqe/m/{at}") for at in range(200)))
        assert await found == [values] * 200
        assert await changed == [1] * 200

    async def test_ranges_longer_than_a_page_come_whole_and_once(self, memory: Memory) -> None:
        values = {f"aqe/n/{at:05}": at for at in range(6_500)}
        await memory.store_many(values)
        assert await memory.search("aqe/n/*") == values
        assert await memory.search("aqe/n/*7") == {
            key: value for key, value in values.items() if value % 10 == 7
        }
        assert await memory.list_keys("aqe/n/") == sorted(values)
        assert [entry.value async for entry in memory.scan("aqe/n/")] == list(values.values())
        assert [entry.value async for entry in memory.scan("aqe/n/", page_size=1000)] == list(
            values.values()
        )

    async def test_pages_of_large_values_come_whole(self, memory: Memory) -> None:
        values = {f"aqe/big/{at:02}": str(at) * (1024 * 1024) for at in range(1, 10)}
        values |= {f"aqe/big/{at:02}": str(at) * (512 * 1024) for at in range(10, 40)}
        # A character of these takes several bytes: who counts one by the other loses entries.
        values |= {f"aqe/big/{at:02}": chr(at * 256) * (3 * 1024 * 1024) for at in range(40, 43)}
        for key, value in values.items():
            await memory.store(key, value)
        assert await memory.search("aqe/big/*") == values
        assert {entry.key: entry.value async for entry in memory.scan("aqe/big/")} == values

    async def test_a_scan_sees_once_what_stays_while_others_come_and_go(
        self, memory: Memory, other: Memory
    ) -> None:
        await memory.store_many({f"aqe/n/{at:03}": at for at in range(0, 100, 2)})
        seen: list[str] = []
        async for entry in memory.scan("aqe/n/", page_size=7):
            seen.append(entry.key)
            at = len(seen)
            await other.store(f"aqe/n/{at:03}x", at)
            await other.delete(f"aqe/n/{at:03}y")
        assert seen == sorted(set(seen))
        assert {f"aqe/n/{at:03}" for at in range(0, 100, 2)} <= set(seen)

    async def test_a_scan_can_be_left_early(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/n/{at}": at for at in range(100)})
        scan = memory.scan("aqe/n/", page_size=10)
        async for _ in scan:
            break
        await scan.aclose()
        assert len(await memory.list_keys()) == 100

    @pytest.mark.parametrize("batch", [0, -1, 1.5, True, 10_001])
    async def test_an_impossible_batch_is_refused(self, memory: Memory, batch: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="page_size"):
            _ = [entry async for entry in memory.scan(page_size=batch)]

    # Partitions

    async def test_partitions_narrow_every_range_call(self, memory: Memory) -> None:
        await memory.store("aqe/a/1", 1, partition="red")
        await memory.store("aqe/a/2", 2, partition="blue")
        await memory.store_many({"aqe/a/3": 3, "aqe/b/1": 4}, partition="red")
        assert await memory.search("aqe/a/*", partition="red") == {"aqe/a/1": 1, "aqe/a/3": 3}
        assert await memory.search("aqe/*/1", partition="red") == {"aqe/a/1": 1, "aqe/b/1": 4}
        assert await memory.search("aqe/a/2", partition="red") == {}
        assert await memory.list_keys(partition="blue") == ["aqe/a/2"]
        assert await memory.list_keys("aqe/b/", partition="red") == ["aqe/b/1"]
        scanned = [entry.value async for entry in memory.scan("aqe/a/", partition="red")]
        assert sorted(scanned) == [1, 3]
        assert await memory.list_keys(partition="no such") == []

    async def test_partitions_page_like_the_rest(self, memory: Memory) -> None:
        values = {f"aqe/n/{at:05}": at for at in range(2_500)}
        await memory.store_many(values, partition="many")
        await memory.store_many({f"{key}x": 0 for key in values}, partition="rest")
        assert await memory.search("aqe/n/*", partition="many") == values
        assert await memory.search("aqe/n/*5", partition="many") == {
            key: value for key, value in values.items() if value % 10 == 5
        }
        found = [entry.value async for entry in memory.scan(partition="many", page_size=700)]
        assert found == list(values.values())

    async def test_an_entry_moves_to_the_partition_it_is_stored_with(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, partition="one")
        await memory.store("aqe/a", 2, partition="two")
        assert await memory.list_keys(partition="one") == []
        assert await memory.list_keys(partition="two") == ["aqe/a"]
        assert (await memory.get_stats())["partitions"] == {"two": 1}

    async def test_clearing_takes_one_partition_and_counts(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/n/{at}": at for at in range(2_300)}, partition="old")
        await memory.store_many({f"aqe/m/{at}": at for at in range(5)}, partition="older")
        assert await memory.clear_partition("old") == 2_300
        assert await memory.clear_partition("old") == 0
        assert await memory.clear_partition("never") == 0
        assert (await memory.get_stats())["partitions"] == {"older": 5}
        assert await memory.list_keys("aqe/n/") == []
        assert await memory.retrieve("aqe/n/0") is None

    async def test_clearing_spares_what_is_stored_meanwhile(
        self, memory: Memory, other: Memory
    ) -> None:
        await memory.store_many({f"aqe/n/{at:04}": 0 for at in range(9_000)}, partition="p")
        clearing = asyncio.create_task(memory.clear_partition("p"))
        stored: list[str] = []
        at = 9_000
        while not clearing.done():
            key = f"aqe/n/{at:05}"
            await other.store(key, 1, partition="p")
            await asyncio.sleep(0)
            stored.append(key)
            at += 1
        # The first of them may have been there when the clearing began, the last was not.
        left = await memory.list_keys(partition="p")
        assert set(left) <= set(stored)
        assert stored[-1] in left or len(stored) == 1
        assert await clearing == 9_000 + len(stored) - len(left)

    async def test_clearing_takes_what_is_touched_meanwhile(
        self, memory: Memory, other: Memory
    ) -> None:
        keys = [f"aqe/n/{at:04}" for at in range(3_000)]
        await memory.store_many(dict.fromkeys(keys, 1), partition="p", ttl=3_600)
        clearing = asyncio.create_task(memory.clear_partition("p", timeout=60))
        while not clearing.done():
            await asyncio.gather(*(other.touch(key, 7_200) for key in keys[::2]))
        assert await clearing == 3_000
        assert await memory.list_keys(partition="p") == []

    @pytest.mark.parametrize("partition", ["", None, 7, "a\x00", "\ud800", "x" * 129])
    async def test_an_impossible_partition_is_refused(self, memory: Memory, partition: Any) -> None:
        calls = [
            memory.store("aqe/a", 1, partition=partition),
            memory.store_many({"aqe/a": 1}, partition=partition),
            memory.clear_partition(partition),
        ]
        if partition is not None:
            calls += [
                memory.search("aqe/*", partition=partition),
                memory.list_keys(partition=partition),
            ]
        for call in calls:
            with pytest.raises(InvalidArgumentError, match="partition"):
                await call
        assert await memory.list_keys() == []

    @pytest.mark.parametrize("partition", ["p", "a b", "é/%_*", "{p}:x", "x" * 128])
    async def test_partition_names_are_literal(self, memory: Memory, partition: str) -> None:
        await memory.store("aqe/a", 1, partition=partition)
        await memory.store("aqe/b", 1, partition="other")
        entry = await memory.entry("aqe/a")
        assert entry is not None
        assert entry.partition == partition
        assert await memory.list_keys(partition=partition) == ["aqe/a"]
        assert (await memory.get_stats())["partitions"] == {partition: 1, "other": 1}
        assert await memory.clear_partition(partition) == 1
        assert await memory.list_keys() == ["aqe/b"]

    # Statistics

    async def test_stats_count_keys_partitions_and_bytes(self, memory: Memory) -> None:
        empty = await memory.get_stats()
        assert (empty["total_keys"], empty["partitions"], empty["size_bytes"]) == (0, {}, 0)
        await memory.store_many({f"aqe/n/{at}": "x" * 98 for at in range(10)})
        await memory.store("aqe/b", "é", partition="other")
        await memory.delete("aqe/n/0")
        stats = await memory.get_stats()
        assert stats["total_keys"] == 10
        assert stats["total_expired"] == 0
        assert stats["partitions"] == {"default": 9, "other": 1}
        assert stats["size_bytes"] == 9 * 100 + 4
        assert stats["exact"] is True
        assert stats["fleet"] == memory.fleet
        assert stats["backend"] == memory.capabilities.name

    async def test_figures_of_the_server_and_of_its_connections_are_numbers(
        self, memory: Memory
    ) -> None:
        stats = await memory.get_stats()
        words = {"sqlite_version", "version", "maxmemory_policy", "role", "encoding"}
        words |= {"synchronous_commit", "fsync", "full_page_writes", "last_replayed_seconds"}
        for name, figure in stats["server"].items():
            assert name in words or type(figure) is int, (name, figure)
        for figure in stats["pool"].values():
            assert type(figure) is int
        if stats["pool"]:
            assert (
                1
                <= stats["pool"]["connections"]
                <= stats["pool"]["limit"] * max(1, stats["server"].get("servers", 1))
            )
            assert stats["server"]["connected_clients"] >= 1
