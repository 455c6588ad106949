"""The executor whose workers are ``aqe worker``, found through the memory; see ``channels``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lionagi_qe.errors import BackendUnavailableError, JobNotDoneError, JobNotFoundError
from lionagi_qe.fleet import channels
from lionagi_qe.fleet.blobs import Blobs
from lionagi_qe.fleet.executors.executor import PATIENCE, PATROL_SECONDS, WorkersGoneError
from lionagi_qe.fleet.signatures import VARIABLE, SigningKeys
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.fleet.checkpoint import Checkpoint
    from lionagi_qe.fleet.commander import Carried
    from lionagi_qe.fleet.task import Task
    from lionagi_qe.persistence import Memory

_CLAIMED_AT_ONCE = 100
_WITHDRAWAL_SECONDS = 10.0


class QueueExecutor:
    """Tasks are jobs of a queue, contents blobs, and results lie in the checkpoint.

    Args:
        memory: where workers look for tasks.
        checkpoint: of the run.
        asked: workers were asked for, so that it is told if there are none.
    """

    keeps_results = True

    def __init__(self, memory: Memory, checkpoint: Checkpoint, *, asked: bool = False) -> None:
        self._memory = memory
        self._checkpoint = checkpoint
        self._keys = SigningKeys.from_env()
        self._blobs = Blobs(memory)
        self._clock = ServerClock(parts_of(memory).bulk.clock)
        self._queue = channels.queue_of(memory)
        self._opening: asyncio.Task[None] | None = None
        self._used = False
        self._found_some = not asked
        # One in a file is its owner's alone.
        self._is_file = memory.capabilities.name == "sqlite"

    @property
    def notes(self) -> list[str]:
        """Tell that there were no workers, where some were asked for, or none that sign."""
        if not self._found_some:
            return ["executor queue: no worker was found, so all was done here; start aqe worker"]
        if self._keys is None and self._used and not self._is_file:
            note = (
                "what workers found is not signed: whoever can write to the memory could have "
                f"forged it; {VARIABLE} on all sides prevents that"
            )
            return [note]
        return []

    async def workers(self) -> int:
        """Return how many workers are alive; one scan of their names."""
        found = len(await channels.workers_of(self._memory))
        self._found_some = self._found_some or found > 0
        return found

    async def put(self, content: bytes) -> str:
        """Store a content as a blob; see ``Blobs.put``."""
        return await self._blobs.put(content)

    async def now(self) -> float:
        """Return the time of the memory's server in ms."""
        return await self._clock.now()

    async def carry_out(self, task: Task, tell: Callable[[str], None]) -> Carried:
        """Have a worker carry out a task; see ``Executor.carry_out``."""
        del tell
        await self._open()
        payload = task.as_payload()
        if self._keys is not None:
            payload = self._keys.signed(payload, self._memory.fleet)
        job = await self._queue.put(payload, dedupe=f"{task.run}/{task.name}"[-128:])
        reason = await self._watch(job)
        carried = await self._checkpoint.kept(task.name)
        if carried is None:
            raise WorkersGoneError(reason)
        return carried

    async def close(self) -> None:
        """Withdraw what workers have not taken, and have them drop what they have."""
        if self._opening is None:
            return
        opening, self._opening = self._opening, None
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        async with asyncio.timeout(_WITHDRAWAL_SECONDS):
            await self._checkpoint.shut()
            while await self._withdraw_some():
                pass

    async def _open(self) -> None:
        """Let workers take tasks of the run."""
        self._used = True
        if self._opening is None:
            self._opening = asyncio.create_task(self._checkpoint.open(), name="open the run")
        await asyncio.shield(self._opening)

    async def _withdraw_some(self) -> bool:
        """Take jobs of this run out of the queue; return whether there may be more."""
        jobs = await self._queue.claim(_CLAIMED_AT_ONCE, lease_ttl=_WITHDRAWAL_SECONDS)
        own = [job for job in jobs if job.payload["run"] == self._checkpoint.run]
        await asyncio.gather(
            *(job.ack({"withdrawn": True}) if job in own else job.release() for job in jobs)
        )
        return bool(own)

    async def _watch(self, job: str) -> str:
        """Return when a job is done, or nobody is there to do it; the latter with a reason."""
        alone = 0
        while alone < PATIENCE:
            try:
                await self._queue.result(job, timeout=PATROL_SECONDS)
            except JobNotDoneError:
                alone = 0 if await self._has_workers() else alone + 1
            except JobNotFoundError:
                break
            else:
                break
        return "the last worker has left" if alone else "a worker left it"

    async def _has_workers(self) -> bool:
        try:
            return bool(await channels.workers_of(self._memory))
        except BackendUnavailableError:
            return False
