"""Expiry: by the server's clock, and never seen by any call, swept or not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, RevisionConflictError
from lionagi_qe.testing.conformance.base import Conformance, Connect, expire, until

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory

SHORT = 0.03
# Long enough for the calls that must come before it is over, on a busy machine too.
AMPLE = 1.5


class ExpiryConformance(Conformance):
    """TTL."""

    @pytest.mark.parametrize(
        "ttl", [0, -1, 0.0, float("nan"), float("inf"), True, "5", timedelta(0), 1e12]
    )
    async def test_a_ttl_that_is_no_positive_time_is_refused(
        self, memory: Memory, ttl: Any
    ) -> None:
        for call in (
            memory.store("aqe/a", 1, ttl=ttl),
            memory.store_many({"aqe/a": 1}, ttl=ttl),
            memory.touch("aqe/a", ttl),
        ):
            with pytest.raises(InvalidArgumentError, match="ttl"):
                await call
        assert await memory.list_keys() == []

    async def test_an_entry_lives_until_its_ttl_is_over_and_not_longer(
        self, memory: Memory
    ) -> None:
        loop = asyncio.get_running_loop()
        await memory.store("aqe/a", 1, ttl=1)
        stored = loop.time()
        assert await memory.retrieve("aqe/a") == 1

        async def is_gone() -> bool:
            return await memory.retrieve("aqe/a") is None

        await until(is_gone)
        # The store's own way back may have taken some of the second.
        assert loop.time() - stored > 0.5

    async def test_ttl_takes_a_timedelta_and_a_fraction(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, ttl=timedelta(milliseconds=20))
        await memory.store("aqe/b", 1, ttl=0.0004)
        await memory.store("aqe/c", 1, ttl=timedelta(days=365 * 50))
        await expire(memory, "aqe/a", "aqe/b")
        assert await memory.exists("aqe/c")

    async def test_no_call_sees_an_expired_entry(self, memory: Memory) -> None:
        revisions = await memory.store_many(
            {f"aqe/gone/{at}": at for at in range(3)}, ttl=SHORT, partition="p"
        )
        await memory.store("aqe/stays", 1, partition="p")
        keys = list(revisions)
        await expire(memory, *keys)

        assert await memory.retrieve(keys[0], "absent") == "absent"
        assert await memory.retrieve(keys[0]) is None
        assert await memory.entry(keys[0]) is None
        assert not await memory.exists(keys[0])
        assert await memory.retrieve_many([*keys, "aqe/stays"]) == {"aqe/stays": 1}
        assert await memory.search("aqe/*") == {"aqe/stays": 1}
        assert await memory.search("aqe/gone/?", partition="p") == {}
        assert await memory.list_keys() == ["aqe/stays"]
        assert await memory.list_keys("aqe/", partition="p") == ["aqe/stays"]
        assert [entry.key async for entry in memory.scan("aqe/")] == ["aqe/stays"]
        assert await memory.delete(keys[0]) is False
        assert await memory.delete_many(keys) == 0
        assert await memory.touch(keys[1], 100) is False
        assert (await memory.get_stats())["total_keys"] == 1
        assert await memory.clear_partition("p") == 1

    async def test_an_expired_entry_counts_as_missing_for_changes(self, memory: Memory) -> None:
        keys = ["aqe/cas", "aqe/create", "aqe/update", "aqe/add", "aqe/put"]
        revisions = await memory.store_many(dict.fromkeys(keys, 50), ttl=SHORT, partition="old")
        await expire(memory, *keys)

        with pytest.raises(RevisionConflictError) as caught:
            await memory.store("aqe/cas", 1, if_revision=revisions["aqe/cas"])
        assert caught.value.actual is None
        with pytest.raises(RevisionConflictError):
            await memory.delete("aqe/cas", if_revision=revisions["aqe/cas"])
        assert await memory.store("aqe/create", 1, if_revision=0) > revisions["aqe/create"]
        assert await memory.update("aqe/update", lambda old: [old], default="d") == ["d"]
        assert await memory.increment("aqe/add", 2) == 2
        await memory.store("aqe/put", 1)
        stored = ["aqe/add", "aqe/create", "aqe/put", "aqe/update"]
        assert await memory.list_keys(partition="default") == stored
        assert await memory.list_keys(partition="old") == []
        for key in stored:
            entry = await memory.entry(key)
            assert entry is not None
            assert entry.expires_at is None
            assert entry.revision > revisions[key]
        # Nor does clearing what expired take along what came after it.
        await memory.cleanup_expired()
        assert await memory.list_keys() == stored

    async def test_store_without_ttl_keeps_an_entry_for_ever(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, ttl=AMPLE)
        await memory.store("aqe/a", 2)
        await memory.store("aqe/b", 1, ttl=AMPLE)
        assert await memory.touch("aqe/b", None)
        await memory.store("aqe/c", 1, ttl=AMPLE)
        await expire(memory, "aqe/c", ttl=AMPLE)
        await memory.cleanup_expired()
        assert await memory.search("aqe/*") == {"aqe/a": 2, "aqe/b": 1}

    async def test_touch_prolongs_and_shortens(self, memory: Memory) -> None:
        await memory.store_many({"aqe/longer": 1}, ttl=AMPLE)
        await memory.store("aqe/shorter", 1, ttl=1000)
        assert await memory.touch("aqe/longer", 1000)
        assert await memory.touch("aqe/shorter", SHORT)
        await memory.store("aqe/mark", 1, ttl=AMPLE)
        await expire(memory, "aqe/shorter", "aqe/mark")
        assert await memory.list_keys() == ["aqe/longer"]

    async def test_expired_entries_are_counted_until_they_are_cleaned_up(
        self, memory: Memory
    ) -> None:
        await memory.store_many({f"aqe/gone/{at}": 1 for at in range(5)}, ttl=SHORT)
        await memory.store("aqe/stays", 1)
        await expire(memory, *(f"aqe/gone/{at}" for at in range(5)))
        stats = await memory.get_stats()
        assert (stats["total_keys"], stats["total_expired"]) == (1, 5)
        assert stats["partitions"] == {"default": 1}
        assert await memory.cleanup_expired() == 5
        assert await memory.cleanup_expired() == 0
        stats = await memory.get_stats()
        assert (stats["total_keys"], stats["total_expired"]) == (1, 0)

    async def test_many_expired_entries_are_cleaned_up_whole(self, memory: Memory) -> None:
        count = 2_500
        await memory.store_many({f"aqe/gone/{at}": at for at in range(count)}, ttl=SHORT)
        await expire(memory, "aqe/gone/2499", "aqe/gone/999")
        assert await memory.cleanup_expired() == count
        assert (await memory.get_stats())["total_expired"] == 0

    async def test_cleaning_up_runs_by_itself(
        self, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        memory = await opened.enter_async_context(connect(fleet=fleet, cleanup_interval=0.05))
        await memory.store_many({"aqe/a": 1, "aqe/b": 2}, ttl=SHORT)

        async def is_clean() -> bool:
            stats = await memory.get_stats()
            return stats["total_keys"] == 0 and stats["total_expired"] == 0

        await until(is_clean)
