"""A fleet on PostgreSQL with a connection that looks behind the memory."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lionagi_qe.persistence import Memory

FLEET = "(SELECT id FROM lionagi_qe.fleets WHERE name = $1)"


class Behind:
    """A fleet of its own; in queries FLEET stands for its number."""

    def __init__(self, memory: Memory, fleet: str, connection: Any) -> None:
        self.memory = memory
        self.fleet = fleet
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        fleet = f"behind-{uuid.uuid4().hex[:12]}"
        connection = await asyncpg.connect(url)
        async with open_memory(url, fleet=fleet, cleanup_interval=None) as memory:
            yield cls(memory, fleet, connection)
            await memory.clear_partition("default")
        await connection.close()

    async def ask(self, query: str) -> Any:
        return await self.connection.fetchval(query.replace("FLEET", FLEET), self.fleet)

    async def age(self) -> None:
        """Make all rows of the log an hour old."""
        await self.ask(
            "UPDATE lionagi_qe.changes SET at = at - interval '1 hour' WHERE fleet = FLEET"
        )

    async def prune(self) -> None:
        """Age the log and clean up until that is gone: other tests' transactions hold it up."""
        await self.age()

        async def is_done() -> bool:
            await self.memory.cleanup_expired()
            return not await self.ask(
                "SELECT count(*) FROM lionagi_qe.changes "
                "WHERE fleet = FLEET AND at < now() - interval '30 minutes'"
            )

        await until(is_done)
