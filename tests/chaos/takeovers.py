"""How another server takes over in each replicated system: in good order, or since one crashed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lionagi_qe.testing.servers import PostgresPair, RedisCluster, RedisSentinels

# What primaries of Redis are set to, so that one that is cut off soon refuses changes.
REPLICATED = {"min-replicas-to-write": "1", "min-replicas-max-lag": "2"}


async def switch_pair(pair: PostgresPair, *, crash: bool) -> None:
    """Have the standby take over, and the former primary follow it."""
    await asyncio.to_thread(pair.take_over, crash=crash)
    await asyncio.to_thread(pair.follow)


async def switch_sentinels(
    servers: RedisSentinels, *, crash: bool, at_once: bool = False, bring_back: bool = True
) -> None:
    """Have a replica take over.

    Args:
        servers: those of the system.
        crash: kill the primary.
        at_once: in good order, but what the primary acknowledges meanwhile is lost.
        bring_back: start the one that was killed again, as a replica.
    """
    if not crash:
        await asyncio.to_thread(servers.switch_over_at_once if at_once else servers.switch_over)
        return
    before = servers.primary
    await asyncio.to_thread(before.kill)
    await asyncio.to_thread(servers.await_takeover, before)
    if bring_back:
        await asyncio.to_thread(servers.bring_back, before)


async def switch_cluster(nodes: RedisCluster, *, crash: bool) -> None:
    """Have a replica take over from a primary, and that one follow it."""
    if not crash:
        await asyncio.to_thread(nodes.switch_over)
        return
    primary = (await asyncio.to_thread(nodes.primaries))[0]
    await asyncio.to_thread(nodes.fail_over, primary)
    await asyncio.to_thread(nodes.bring_back, primary)
