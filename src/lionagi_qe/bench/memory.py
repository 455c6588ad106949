"""Our memory as it comes, with everything on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.contender import Contender, Kind
from lionagi_qe.coordination import Job, WorkQueue
from lionagi_qe.persistence.connect import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping


class OurMemory(Contender):
    """A Memory with its default settings, in a fleet of its own.

    Args:
        url: which memory.
        fleet: the fleet's name.
    """

    name = "lionagi-qe"
    kind = Kind.OURS
    package = "lionagi-qe-fleet"

    def __init__(self, url: str, fleet: str) -> None:
        self.memory = open_memory(url, fleet=fleet)
        self._queue = WorkQueue(self.memory, "bench")

    async def open(self) -> None:
        """Open it, migrations included."""
        await self.memory.open()

    async def close(self) -> None:
        """Close it."""
        await self.memory.close()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Store one value; its revision comes back and is dropped."""
        await self.memory.store(key, value)

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return one value."""
        return await self.memory.retrieve(key)

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Store all or nothing."""
        await self.memory.store_many(items)

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """Search by a glob pattern."""
        return await self.memory.search(prefix + "*")

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
