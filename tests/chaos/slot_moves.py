"""Moves slots of a Redis Cluster to another node while clients use them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import redis.asyncio
import redis.exceptions
from redis.crc import key_slot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from lionagi_qe.testing.servers import RedisServer

# So many of those that hold keys, and how long a MIGRATE may take.
MOVED, MIGRATE_MS = 4, 5_000
_LONGEST_WAIT = 30.0
# As answers begin, and as the driver's classes, which take that word away.
_NOT_YET = ("CLUSTERDOWN", "IOERR", "LOADING")
_DOWN = (redis.exceptions.ClusterDownError, redis.exceptions.BusyLoadingError)


class Move:
    """A slot on its way from the node that has it to the next, as ``redis-cli`` reshards."""

    def __init__(
        self, nodes: Sequence[RedisServer], clients: Sequence[redis.asyncio.Redis]
    ) -> None:
        self._nodes = nodes
        self._clients = clients
        self._names: list[str] = []
        self._slot, self._giver, self._taker = -1, -1, -1

    @classmethod
    @asynccontextmanager
    async def between(cls, nodes: Sequence[RedisServer]) -> AsyncGenerator[Move]:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    redis.asyncio.Redis(port=node.port, socket_timeout=10, protocol=2)
                )
                for node in nodes
            ]
            yield cls(nodes, clients)

    async def begin(self, key: str) -> None:
        """Let the slot of a key be on two nodes; all its keys are with the one that had it."""
        slot = key_slot(key.encode())
        for number in range(len(self._clients)):
            if slot in await self.slots(number):
                await self.begin_slot(slot, number)
                return

    async def begin_slot(self, slot: int, giver: int) -> None:
        if not self._names:
            told = [await each.execute_command("CLUSTER", "MYID") for each in self._clients]
            self._names = [name.decode() for name in told]
        self._slot, self._giver, self._taker = slot, giver, (giver + 1) % len(self._clients)
        await self._set(self._taker, "IMPORTING", self._names[giver])
        await self._set(giver, "MIGRATING", self._names[self._taker])

    async def migrate(self, keys: Sequence[Any] = (), *, share: int = 1) -> None:
        """Send these keys, or one in ``share`` of those that are left."""
        giver = self._clients[self._giver]
        count: Any = await giver.execute_command("CLUSTER", "COUNTKEYSINSLOT", self._slot)
        words = ("GETKEYSINSLOT", self._slot, -(-count // share))
        keys = keys or await giver.execute_command("CLUSTER", *words)
        if keys:
            port = self._nodes[self._taker].port
            words = ("MIGRATE", "127.0.0.1", port, "", 0, MIGRATE_MS, "KEYS", *keys)
            await _as_soon_as_possible(giver, words)

    async def finish(self) -> None:
        """Send all that is left; the slot is the other node's then, as all nodes are told."""
        await self.migrate()
        rest = {*range(len(self._clients))} - {self._giver, self._taker}
        for number in (self._taker, self._giver, *rest):
            await self._set(number, "NODE", self._names[self._taker])

    async def slots(self, number: int) -> list[int]:
        """Return the slots that a node has."""
        client = self._clients[number]
        mine = (await client.execute_command("CLUSTER", "MYID")).decode()
        return [
            slot
            for first, last, (_, _, name, *_), *_ in await client.execute_command(
                "CLUSTER", "SLOTS"
            )
            if name.decode() == mine
            for slot in range(int(first), int(last) + 1)
        ]

    async def used(self, number: int) -> list[int]:
        """Return the slots of a node that hold keys."""
        slots = await self.slots(number)
        async with self._clients[number].pipeline(transaction=False) as pipeline:
            for slot in slots:
                pipeline.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
            counts = await pipeline.execute()
        return [slot for slot, count in zip(slots, counts, strict=True) if count]

    async def _set(self, number: int, *words: str) -> None:
        await self._clients[number].execute_command("CLUSTER", "SETSLOT", self._slot, *words)


async def _as_soon_as_possible(client: redis.asyncio.Redis, words: tuple[Any, ...]) -> None:
    """Send a command again while the other node is not there yet, as after a kill."""
    async with asyncio.timeout(_LONGEST_WAIT):
        while True:
            try:
                await client.execute_command(*words)
            except (redis.exceptions.ResponseError, *_DOWN) as error:
                told = any(word in str(error) for word in _NOT_YET)
                if not (told or isinstance(error, _DOWN)):
                    raise
                await asyncio.sleep(0.1)
            else:
                return


async def move_slots(nodes: Sequence[RedisServer], choice: int, lasts: float) -> None:
    """Move used slots of one node to the next, each of them slowly: half of its keys, then all."""
    giver = choice % len(nodes)
    async with Move.between(nodes) as move:
        slots = (await move.used(giver))[:MOVED]
        for slot in slots:
            await move.begin_slot(slot, giver)
            await move.migrate(share=2)
            await asyncio.sleep(lasts / len(slots))
            await move.finish()
