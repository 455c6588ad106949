"""Calls to all shards of a cluster at once, whose connections are lost."""

from __future__ import annotations

import asyncio
import uuid

from tests.chaos.fault_plan import Fault
from tests.chaos.systems import SYSTEMS

from lionagi_qe import open_memory

FAULTS = ("half-open", "reset", "refuse")


async def test_a_watch_of_all_shards_goes_on_after_its_connections_were_lost() -> None:
    """One call that fails must not have the others fail, again and again."""
    fleet = f"lost-{uuid.uuid4().hex[:12]}"
    async with (
        SYSTEMS["cluster"]() as system,
        open_memory(system.url, fleet=fleet, timeout=3, cleanup_interval=None) as memory,
        memory.watch("aqe/*", poll=0.01) as changes,
        asyncio.timeout(60),
    ):
        for number, kind in enumerate(FAULTS):
            reading = asyncio.create_task(anext(changes))
            await system.targets["server"].inflict(Fault(kind, "server", 0, 0.4, 0))
            async with open_memory(system.url, fleet=fleet, cleanup_interval=None) as other:
                await other.store(f"aqe/{number}", number)
            assert (await reading).key == f"aqe/{number}"
