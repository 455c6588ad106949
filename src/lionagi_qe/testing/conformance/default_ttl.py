"""A memory's default TTL: what is stored without one expires, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest_asyncio

from lionagi_qe.persistence.values.entry import INHERIT, Item
from lionagi_qe.testing.conformance.base import Conformance, Connect, expire

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory

DEFAULT = 1000.0


class DefaultTtlConformance(Conformance):
    """``default_ttl`` of a memory."""

    @pytest_asyncio.fixture
    async def lasting(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> Memory:
        """Open another handle on the fleet, with a default TTL of ``DEFAULT`` seconds."""
        # It is emptied by that one.
        del memory
        return await opened.enter_async_context(
            connect(fleet=fleet, cleanup_interval=None, default_ttl=DEFAULT)
        )

    async def test_what_is_stored_without_a_ttl_gets_the_memorys(self, lasting: Memory) -> None:
        await lasting.store("aqe/store", 1)
        await lasting.store("aqe/marked", 1, INHERIT)
        await lasting.store_many({"aqe/many": 1, "aqe/item": Item(1, partition="p")})
        for key in ("aqe/store", "aqe/marked", "aqe/many", "aqe/item"):
            assert await seconds_of(lasting, key) == DEFAULT

    async def test_a_ttl_that_is_given_counts_and_none_is_for_ever(self, lasting: Memory) -> None:
        await lasting.store("aqe/store", 1, ttl=None)
        await lasting.store_many({"aqe/many": 1, "aqe/item": Item(1, ttl=50)}, ttl=None)
        await lasting.store_many({"aqe/lasting": Item(1, ttl=None), "aqe/inherits": Item(1)}, ttl=7)
        for key in ("aqe/store", "aqe/many", "aqe/lasting"):
            assert await seconds_of(lasting, key) is None
        assert await seconds_of(lasting, "aqe/item") == 50
        assert await seconds_of(lasting, "aqe/inherits") == 7

    async def test_calls_that_take_no_ttl_make_entries_that_last(self, lasting: Memory) -> None:
        assert await lasting.increment("aqe/counter") == 1
        await lasting.update("aqe/updated", lambda _: 1)
        for key in ("aqe/counter", "aqe/updated"):
            assert await seconds_of(lasting, key) is None
        await lasting.store_many({"aqe/number": 1, "aqe/text": "a"})
        before = await lasting.entries_many(["aqe/number", "aqe/text"])
        await lasting.increment("aqe/number")
        await lasting.update("aqe/text", lambda text: text + "b")
        after = await lasting.entries_many(["aqe/number", "aqe/text"])
        assert [entry.expires_at for entry in before.values()] == [
            entry.expires_at for entry in after.values()
        ]
        assert await lasting.touch("aqe/number", None)
        assert await seconds_of(lasting, "aqe/number") is None

    async def test_a_scope_has_its_memorys_and_other_handles_have_none(
        self, memory: Memory, lasting: Memory
    ) -> None:
        scope = lasting.scoped("part", write=["aqe/part/*"]).scoped("less", write=["aqe/part/a"])
        await scope.store("aqe/part/a", 1)
        assert await seconds_of(scope, "aqe/part/a") == DEFAULT
        await memory.store("aqe/part/b", 1)
        assert await seconds_of(memory, "aqe/part/b") is None
        assert (lasting.default_ttl, scope.default_ttl, memory.default_ttl) == (
            DEFAULT,
            DEFAULT,
            None,
        )

    async def test_entries_expire_by_a_default_that_is_a_timedelta(
        self, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        brief = await opened.enter_async_context(
            connect(fleet=fleet, default_ttl=timedelta(milliseconds=20))
        )
        await brief.store("aqe/gone", 1)
        await brief.store("aqe/stays", 1, ttl=None)
        await expire(brief, "aqe/gone")
        assert await brief.list_keys() == ["aqe/stays"]
        await brief.delete("aqe/stays")


async def seconds_of(memory: Memory, key: str) -> float | None:
    """Return for how many seconds an entry was stored, None for ever."""
    entry = await memory.entry(key)
    assert entry is not None
    if entry.expires_at is None:
        return None
    return (entry.expires_at - entry.updated_at).total_seconds()
