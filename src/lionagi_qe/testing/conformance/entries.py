"""One entry: stored, read, replaced, removed, and what its key and revision promise."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    InvalidArgumentError,
    InvalidKeyError,
    RevisionConflictError,
)
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence import Memory

INVALID_KEYS: list[Any] = [
    "",
    "plans/v1",
    "AQE/plans",
    "aqe",
    "aqe/",
    "/aqe/a",
    "aqe//a",
    "aqe/a//b",
    "aqe/a/",
    "aqe/a\x00b",
    "aqe/a\nb",
    "aqe/a\x7fb",
    "aqe/a\x85b",
    "aqe/a\ud800b",
    "aqe/" + "x" * 509,
    "aqe/" + "é" * 255,
    b"aqe/a",
    None,
    7,
]
LITERAL_KEYS = [
    "aqe/a",
    "aqe/a/b/c/d/e",
    "aqe/with space/ and more ",
    "aqe/50%_off",
    "aqe/star*/quest?on/[set]/back\\slash",
    "aqe/{tag}/a:b/c|d/e;f/g'h/i\"j/k`l/$1/%s",
    "aqe/../../etc/passwd",
    "aqe/ÄÖÜ/日本語/😀/\u00a0/\ue000",
    "aqe/A",
    "aqe/" + "x" * 508,
    "aqe/" + "é" * 254,
    "aqe/" + "😀" * 127,
]
_CALLS: dict[str, Callable[[Memory, Any], Awaitable[Any]]] = {
    "store": lambda memory, key: memory.store(key, 1),
    "retrieve": lambda memory, key: memory.retrieve(key),
    "entry": lambda memory, key: memory.entry(key),
    "exists": lambda memory, key: memory.exists(key),
    "delete": lambda memory, key: memory.delete(key),
    "touch": lambda memory, key: memory.touch(key, 5),
    "increment": lambda memory, key: memory.increment(key),
    "update": lambda memory, key: memory.update(key, lambda _: 1),
    "store_many": lambda memory, key: memory.store_many({"aqe/fine": 1, key: 1}),
    "retrieve_many": lambda memory, key: memory.retrieve_many(["aqe/fine", key]),
    "delete_many": lambda memory, key: memory.delete_many(["aqe/fine", key]),
}


class EntriesConformance(Conformance):
    """Store, retrieve, entry, exists, delete, touch, update, increment."""

    async def test_what_was_stored_is_retrieved(self, memory: Memory, other: Memory) -> None:
        value = {"name": "checkout", "steps": [1, 2, {"deep": None}], "ratio": 0.1}
        await memory.store("aqe/plan/v1", value)
        assert await memory.retrieve("aqe/plan/v1") == value
        assert await other.retrieve("aqe/plan/v1") == value

    async def test_missing_entries_give_the_default(self, memory: Memory) -> None:
        assert await memory.retrieve("aqe/missing") is None
        assert await memory.retrieve("aqe/missing", 7) == 7
        assert await memory.retrieve("aqe/missing", default=7) == 7
        assert await memory.entry("aqe/missing") is None
        assert not await memory.exists("aqe/missing")

    async def test_null_is_a_value_and_default_is_for_absent_keys_only(
        self, memory: Memory
    ) -> None:
        await memory.store("aqe/null", None)
        assert await memory.retrieve("aqe/null", 7) is None
        assert await memory.exists("aqe/null")
        entry = await memory.entry("aqe/null")
        assert entry is not None
        assert entry.value is None

    async def test_store_replaces_value_partition_and_expiry(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, ttl=1000, partition="first")
        await memory.store("aqe/a", 2)
        entry = await memory.entry("aqe/a")
        assert entry is not None
        assert (entry.value, entry.partition, entry.expires_at) == (2, "default", None)
        assert await memory.list_keys(partition="first") == []
        assert await memory.list_keys(partition="default") == ["aqe/a"]

    async def test_entry_tells_revision_partition_and_times(self, memory: Memory) -> None:
        revision = await memory.store("aqe/a", [1], ttl=60, partition="planning")
        first = await memory.entry("aqe/a")
        assert first is not None
        assert (first.key, first.value, first.revision, first.partition) == (
            "aqe/a",
            [1],
            revision,
            "planning",
        )
        assert first.created_at == first.updated_at
        assert first.created_at.tzinfo is UTC
        assert first.expires_at is not None
        left = first.expires_at - first.updated_at
        assert abs(left - timedelta(seconds=60)) <= timedelta(milliseconds=2)

        await asyncio.sleep(0.005)
        await memory.store("aqe/a", [2])
        second = await memory.entry("aqe/a")
        assert second is not None
        assert second.created_at == first.created_at
        assert second.updated_at > first.updated_at
        assert second.expires_at is None

    async def test_a_recreated_entry_is_a_new_one(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1)
        first = await memory.entry("aqe/a")
        await memory.delete("aqe/a")
        await asyncio.sleep(0.005)
        await memory.store("aqe/a", 2)
        second = await memory.entry("aqe/a")
        assert first is not None
        assert second is not None
        assert second.created_at > first.created_at

    async def test_delete_tells_whether_there_was_one(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1)
        assert await memory.delete("aqe/a") is True
        assert await memory.delete("aqe/a") is False
        assert await memory.retrieve("aqe/a") is None
        assert await memory.list_keys() == []
        assert (await memory.get_stats())["total_keys"] == 0

    # Keys

    @pytest.mark.parametrize("key", LITERAL_KEYS)
    async def test_every_allowed_character_is_literal(self, memory: Memory, key: str) -> None:
        await memory.store(key, key)
        await memory.store("aqe/zzz", "another")
        assert await memory.retrieve(key) == key
        assert await memory.list_keys(key) == [key]
        assert key in await memory.search("aqe/*")
        assert [entry.key async for entry in memory.scan(key)] == [key]
        assert await memory.retrieve_many([key]) == {key: key}
        assert await memory.delete(key)
        assert await memory.list_keys() == ["aqe/zzz"]

    @pytest.mark.parametrize("call", _CALLS)
    async def test_a_key_that_breaks_a_rule_is_refused_by_every_call(
        self, memory: Memory, call: str
    ) -> None:
        for key in INVALID_KEYS:
            with pytest.raises(InvalidKeyError) as caught:
                await _CALLS[call](memory, key)
            assert isinstance(caught.value, ValueError)
            assert repr(key)[:12].rstrip("'") in str(caught.value)
        assert await memory.list_keys() == []

    async def test_keys_that_differ_only_by_case_or_form_are_different(
        self, memory: Memory
    ) -> None:
        keys = ["aqe/a", "aqe/A", "aqe/\u00e9", "aqe/e\u0301", "aqe/a "]
        await memory.store_many({key: key for key in keys})
        assert await memory.retrieve_many(keys) == {key: key for key in keys}

    # Revisions and compare-and-set

    async def test_revisions_grow_with_every_change(self, memory: Memory, other: Memory) -> None:
        seen = [await memory.store("aqe/a", 1), await other.store("aqe/a", 1)]
        await memory.update("aqe/a", lambda value: value + 1)
        seen.append(await self._revision(memory, "aqe/a"))
        await other.increment("aqe/a")
        seen.append(await self._revision(memory, "aqe/a"))
        seen.append((await memory.store_many({"aqe/a": 5}))["aqe/a"])
        assert all(isinstance(revision, int) and revision > 0 for revision in seen)
        assert seen == sorted(set(seen))

    async def test_revisions_grow_across_delete_expiry_and_clearing(self, memory: Memory) -> None:
        seen = [await memory.store("aqe/a", 1)]
        await memory.delete("aqe/a")
        seen.append(await memory.store("aqe/a", 2, ttl=0.01))
        await asyncio.sleep(0.05)
        await memory.cleanup_expired()
        seen.append(await memory.store("aqe/a", 3, partition="p"))
        await memory.clear_partition("p")
        seen.append(await memory.store("aqe/a", 4))
        assert seen == sorted(set(seen))

    async def test_touch_leaves_value_and_revision(self, memory: Memory) -> None:
        revision = await memory.store("aqe/a", 1)
        assert await memory.touch("aqe/a", 60) is True
        entry = await memory.entry("aqe/a")
        assert entry is not None
        assert (entry.value, entry.revision) == (1, revision)
        assert entry.expires_at is not None
        assert await memory.touch("aqe/a", None) is True
        entry = await memory.entry("aqe/a")
        assert entry is not None
        assert entry.expires_at is None
        assert await memory.touch("aqe/missing", 60) is False

    async def test_compare_and_set_stores_only_at_the_expected_revision(
        self, memory: Memory, other: Memory
    ) -> None:
        first = await memory.store("aqe/a", 1)
        second = await other.store("aqe/a", 2, if_revision=first)
        with pytest.raises(RevisionConflictError) as caught:
            await memory.store("aqe/a", 3, if_revision=first, ttl=5, partition="p")
        conflict = caught.value
        assert (conflict.key, conflict.expected, conflict.actual) == ("aqe/a", first, second)
        entry = await memory.entry("aqe/a")
        assert entry is not None
        assert (entry.value, entry.revision, entry.partition) == (2, second, "default")

    async def test_revision_zero_only_creates(self, memory: Memory) -> None:
        revision = await memory.store("aqe/a", 1, if_revision=0)
        with pytest.raises(RevisionConflictError) as caught:
            await memory.store("aqe/a", 2, if_revision=0)
        assert caught.value.actual == revision
        await memory.delete("aqe/a")
        assert await memory.store("aqe/a", 3, if_revision=0) > revision

    async def test_compare_and_set_on_a_missing_entry_conflicts(self, memory: Memory) -> None:
        revision = await memory.store("aqe/a", 1)
        await memory.delete("aqe/a")
        for key in ("aqe/a", "aqe/never"):
            with pytest.raises(RevisionConflictError) as caught:
                await memory.store(key, 2, if_revision=revision)
            assert caught.value.actual is None
            assert not await memory.exists(key)

    async def test_compare_and_delete(self, memory: Memory) -> None:
        first = await memory.store("aqe/a", 1)
        second = await memory.store("aqe/a", 2)
        with pytest.raises(RevisionConflictError) as caught:
            await memory.delete("aqe/a", if_revision=first)
        assert caught.value.actual == second
        assert await memory.delete("aqe/a", if_revision=second) is True
        for expected in (second, 0):
            with pytest.raises(RevisionConflictError) as caught:
                await memory.delete("aqe/a", if_revision=expected)
            assert caught.value.actual is None

    @pytest.mark.parametrize("revision", [-1, 2**63, 1.0, True, "1"])
    async def test_an_impossible_revision_is_refused(self, memory: Memory, revision: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="revision"):
            await memory.store("aqe/a", 1, if_revision=revision)
        with pytest.raises(InvalidArgumentError, match="revision"):
            await memory.delete("aqe/a", if_revision=revision)
        assert await memory.list_keys() == []

    # Update

    async def test_update_hands_the_value_or_the_default_and_returns_the_result(
        self, memory: Memory
    ) -> None:
        assert await memory.update("aqe/list", lambda old: [*old, 1], default=[]) == [1]
        assert await memory.update("aqe/list", lambda old: [*old, 2], default=[]) == [1, 2]
        assert await memory.update("aqe/none", lambda old: {"was": old}) == {"was": None}
        assert await memory.retrieve("aqe/list") == [1, 2]

    async def test_update_takes_a_coroutine_function(self, memory: Memory) -> None:
        async def double(value: int) -> int:
            await asyncio.sleep(0)
            return value * 2

        assert await memory.update("aqe/a", double, default=4) == 8

    async def test_an_update_waits_for_another_no_longer_than_its_time(
        self, memory: Memory
    ) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(_: Any) -> str:
            began.set()
            await go_on.wait()
            return "slow"

        async def once_more(_: Any) -> Any:
            return await memory.update("aqe/a", lambda _: "inner", timeout=0.05)

        slow = asyncio.create_task(memory.update("aqe/a", slowly))
        await began.wait()
        with pytest.raises(BackendTimeoutError, match="aqe/a") as caught:
            await memory.update("aqe/a", lambda _: "late", timeout=0.05)
        assert caught.value.outcome == "not_applied"
        go_on.set()
        assert await slow == await memory.retrieve("aqe/a") == "slow"
        with pytest.raises(BackendTimeoutError, match="called this"):
            await memory.update("aqe/a", once_more)
        assert await memory.retrieve("aqe/a") == "slow"

    async def test_update_and_increment_keep_partition_and_expiry(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, ttl=100, partition="p")
        before = await memory.entry("aqe/a")
        await memory.update("aqe/a", lambda value: value + 1)
        await memory.increment("aqe/a", 5)
        after = await memory.entry("aqe/a")
        assert before is not None
        assert after is not None
        assert (after.value, after.partition, after.expires_at, after.created_at) == (
            7,
            "p",
            before.expires_at,
            before.created_at,
        )
        assert await memory.list_keys(partition="p") == ["aqe/a"]

    async def test_an_exception_in_update_changes_nothing(self, memory: Memory) -> None:
        revision = await memory.store("aqe/a", 1)

        def fail(_: object) -> None:
            msg = "no"
            raise LookupError(msg)

        with pytest.raises(LookupError, match="no"):
            await memory.update("aqe/a", fail)
        with pytest.raises(AqeError):
            await memory.update("aqe/a", lambda _: {1, 2})
        assert await self._revision(memory, "aqe/a") == revision

    @staticmethod
    async def _revision(memory: Memory, key: str) -> int:
        entry = await memory.entry(key)
        assert entry is not None
        return entry.revision
