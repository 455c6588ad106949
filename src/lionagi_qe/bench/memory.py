"""Our memory as it comes, with everything on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.contender import Contender, Kind
from lionagi_qe.coordination import Job, WorkQueue
from lionagi_qe.extras import DISTRIBUTION
from lionagi_qe.persistence.connect import open_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from lionagi_qe.persistence.encryption.keys import KeyRing


class OurMemory(Contender):
    """A Memory with its default settings, in a fleet of its own.

    Args:
        url: which memory.
        fleet: the fleet's name.
        keys: seal what is stored.
    """

    name = "lionagi-qe"
    kind = Kind.OURS
    package = DISTRIBUTION

    def __init__(self, url: str, fleet: str, keys: KeyRing | None = None) -> None:
        self.memory = open_memory(url, fleet=fleet, keys=keys)
        self._queue = WorkQueue(self.memory, "bench")

    async def open(self) -> None:
        """Open it, migrations included."""
        await self.memory.open()

    async def close(self) -> None:
        """Close it."""
        await self.memory.close()

    def store(self, key: str, value: Mapping[str, Any]) -> Awaitable[object]:
        """Store one value; its revision comes back."""
        return self.memory.store(key, value)

    def retrieve(self, key: str) -> Awaitable[Any]:
        """Return one value."""
        return self.memory.retrieve(key)

    def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> Awaitable[object]:
        """Store all or nothing."""
        return self.memory.store_many(items)

    def search(self, prefix: str) -> Awaitable[Mapping[str, Any]]:
        """Search by a glob pattern."""
        return self.memory.search(prefix + "*")

    async def put_job(self, payload: Mapping[str, Any]) -> None:
        """Put a job."""
        await self._queue.put(payload)

    async def do_jobs(self, count: int, concurrency: int) -> None:
        """Work until so many are done; what a handler returns is acknowledged."""
        left = count

        async def done(_: Job) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._queue.stop()

        await self._queue.work(done, concurrency, signals=())
