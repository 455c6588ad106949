"""Moves slots of a Redis Cluster to another node while clients use them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import redis.asyncio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.testing.servers import RedisServer

SLOTS = 16_384
# So many of those that hold keys, and how long a MIGRATE may take.
MOVED, MIGRATE_MS = 4, 5_000


async def move_slots(nodes: Sequence[RedisServer], choice: int, lasts: float) -> None:
    """Move used slots of one node to the next as ``redis-cli --cluster reshard`` does, slowly.

    For half of ``lasts`` seconds half of each slot's keys are on either node: calls are answered
    ASK and TRYAGAIN.
    """
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                redis.asyncio.Redis(port=node.port, socket_timeout=10, protocol=2)
            )
            for node in nodes
        ]
        giver, taker = (choice % len(nodes), (choice + 1) % len(nodes))
        names = [(await each.execute_command("CLUSTER", "MYID")).decode() for each in clients]
        slots = await _used(clients[giver])
        for slot in slots:
            await _set(clients[taker], slot, "IMPORTING", names[giver])
            await _set(clients[giver], slot, "MIGRATING", names[taker])
        for share in (2, 1):
            for slot in slots:
                await _migrate(clients[giver], slot, nodes[taker].port, share)
            await asyncio.sleep(lasts / 2)
        for slot in slots:
            # Keys may have come meanwhile; none come once all are away.
            await _migrate(clients[giver], slot, nodes[taker].port, 1)
            others = [each for at, each in enumerate(clients) if at not in {giver, taker}]
            for each in (clients[taker], clients[giver], *others):
                await _set(each, slot, "NODE", names[taker])


async def _used(client: redis.asyncio.Redis) -> list[int]:
    own = [
        (int(first), int(last))
        for first, last, (_, port, *_), *_ in await client.execute_command("CLUSTER", "SLOTS")
        if port == await _announced(client)
    ]
    found: list[int] = []
    for first, last in own:
        async with client.pipeline(transaction=False) as pipeline:
            for slot in range(first, last + 1):
                pipeline.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
            counts = await pipeline.execute()
        found += [first + at for at, count in enumerate(counts) if count]
    return found[:MOVED]


async def _announced(client: redis.asyncio.Redis) -> int:
    told = await client.config_get("cluster-announce-port")
    return int(told["cluster-announce-port"])


async def _set(client: redis.asyncio.Redis, slot: int, *words: str) -> None:
    await client.execute_command("CLUSTER", "SETSLOT", slot, *words)


async def _migrate(client: redis.asyncio.Redis, slot: int, port: int, share: int) -> None:
    """Send one in ``share`` of a slot's keys."""
    count: Any = await client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
    keys = await client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, -(-count // share))
    if keys:
        words = ("127.0.0.1", port, "", 0, MIGRATE_MS, "KEYS", *keys)
        await client.execute_command("MIGRATE", *words)
