"""Fleets share a server and see nothing of each other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, RevisionConflictError
from lionagi_qe.testing.conformance.base import Conformance, Connect, erase

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory


class FleetsConformance(Conformance):
    """Isolation by fleet, and what two handles on one fleet share."""

    async def test_fleets_do_not_see_each_other(
        self, memory: Memory, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        stranger = await opened.enter_async_context(connect(fleet=f"{fleet}-x"))
        opened.push_async_callback(erase, stranger)
        await memory.store("aqe/a", 1, partition="p")
        assert await stranger.retrieve("aqe/a") is None
        assert await stranger.list_keys() == []
        assert await stranger.search("aqe/*") == {}
        assert await stranger.delete("aqe/a") is False
        assert await stranger.clear_partition("p") == 0
        assert (await stranger.get_stats())["total_keys"] == 0
        await stranger.store("aqe/a", 2, partition="p", if_revision=0)
        assert await memory.retrieve("aqe/a") == 1
        assert (await memory.get_stats())["total_keys"] == 1
        assert await stranger.clear_partition("p") == 1
        assert await memory.retrieve("aqe/a") == 1

    async def test_cleaning_up_stays_within_the_fleet(
        self, memory: Memory, connect: Connect, fleet: str, opened: AsyncExitStack
    ) -> None:
        stranger = await opened.enter_async_context(connect(fleet=f"{fleet}-x"))
        opened.push_async_callback(erase, stranger)
        await memory.store("aqe/a", 1, ttl=0.01)
        await asyncio.sleep(0.05)
        assert await stranger.cleanup_expired() == 0
        assert await memory.cleanup_expired() == 1

    @pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "é", "x" * 65, None, 7, "a{b}"])
    async def test_an_impossible_fleet_is_refused(self, connect: Connect, name: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="fleet"):
            connect(fleet=name)

    async def test_a_reopened_memory_has_what_was_stored(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        revision = await memory.store("aqe/a", {"kept": True}, ttl=1000, partition="p")
        if not self.shared:
            return
        async with connect(fleet=fleet) as again:
            entry = await again.entry("aqe/a")
            assert entry is not None
            assert (entry.value, entry.revision, entry.partition) == (
                {"kept": True},
                revision,
                "p",
            )
            assert entry.expires_at is not None
            with pytest.raises(RevisionConflictError):
                await again.store("aqe/a", 2, if_revision=revision + 1)
            assert await again.store("aqe/a", 2, if_revision=revision) > revision

    async def test_many_handles_open_a_new_fleet_at_once(
        self, connect: Connect, fleet: str
    ) -> None:
        name = f"{fleet}-new"
        handles = [connect(fleet=name) for _ in range(8)]
        try:
            await asyncio.gather(*(handle.increment("aqe/n") for handle in handles))
            totals = {await handle.retrieve("aqe/n") for handle in handles}
            assert totals == ({8} if self.shared else {1})
        finally:
            await erase(handles[0])
            for handle in handles:
                await handle.close()
