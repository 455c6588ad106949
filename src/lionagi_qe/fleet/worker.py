"""A worker: takes tasks of anybody's runs and examines, on its own copy, in its own environment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Step
from lionagi_qe.errors import BackendUnavailableError, UntrustedTaskError
from lionagi_qe.fleet import channels
from lionagi_qe.fleet.blobs import Blobs
from lionagi_qe.fleet.checkpoint import Checkpoint
from lionagi_qe.fleet.result_signatures import ResultSignatures
from lionagi_qe.fleet.run_traces import RunTraces
from lionagi_qe.fleet.signatures import unsigned
from lionagi_qe.fleet.task import Task
from lionagi_qe.fleet.task_examination import TaskExaminer
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Progress
    from lionagi_qe.coordination import Job
    from lionagi_qe.fleet.signatures import SigningKeys
    from lionagi_qe.persistence import Memory

# How often a worker looks whether what it works at is still wanted.
_LOOK_SECONDS = 1.0
# What a task in hand may take to end after the worker was told to stop; then others get it.
_GRACE_SECONDS = 1.0


class Worker:
    """Does one task after the other until it is stopped; each is another one's if it dies.

    Args:
        memory: where the tasks are.
        name: under which others see it; one segment of a key.
        progress: told what goes on.
        keys: that tasks have to be signed by, and of which the first signs results; None to trust
            whoever can write to the memory.
        isolate: run the projects' code isolated, also where a run does not ask for it,
            and without network whatever it asks.
    """

    def __init__(
        self,
        memory: Memory,
        name: str,
        progress: Progress,
        *,
        keys: SigningKeys | None = None,
        isolate: bool = False,
    ) -> None:
        self._memory = memory
        self._keys = keys
        self._name = name
        self._progress = progress
        self._queue = channels.queue_of(memory)
        self._clock = ServerClock(parts_of(memory).bulk.clock)
        self._examiner = TaskExaminer(
            Blobs(memory).get,
            self._clock.now,
            progress,
            name,
            traces=RunTraces.of(memory),
            isolate=isolate,
        )
        self._stopped = False

    async def work(self) -> None:
        """Do tasks until ``stop`` is called; what is in hand then goes back to the queue."""
        try:
            async with channels.presence_of(self._memory, self._name):
                if self._stopped:
                    # The queue, which was not at work yet, does not know.
                    return
                self._tell("waiting for tasks")
                await self._queue.work(
                    self._do, lease_ttl=channels.LEASE_SECONDS, signals=(), grace=_GRACE_SECONDS
                )
        finally:
            self._examiner.close()

    def stop(self) -> None:
        """Take no more tasks."""
        self._stopped = True
        self._queue.stop()
        self._tell("stopping")

    def _tell(self, text: str) -> None:
        self._progress(Step(self._name, text))

    async def _do(self, job: Job) -> dict[str, Any]:
        # Before anything of it is looked at.
        task = Task.of_payload(self._trusted(job.payload))
        signatures = ResultSignatures(self._keys, self._memory.fleet, task.files)
        checkpoint = Checkpoint(self._memory, task.project, task.run, signatures)
        if await checkpoint.has(task.name):
            return {"worker": self._name, "had been done": True}
        if not await checkpoint.is_open():
            return {"worker": self._name, "withdrawn": True}
        self._tell(f"{task.project}: {task.name} begins (attempt {job.attempt})")
        examining = asyncio.create_task(self._examiner.examine(task))
        watching = asyncio.create_task(_until_shut(checkpoint))
        try:
            await asyncio.wait({examining, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not examining.done():
                self._tell(f"{task.project}: {task.name} is not wanted any more")
                return {"worker": self._name, "withdrawn": True}
            carried = await examining
        finally:
            await _end(examining, watching)
        spent = (await self._clock.now() - task.began_ms) / 1000
        await checkpoint.keep(task.name, carried, spent)
        self._tell(f"{task.project}: {task.name} ended after {carried.seconds:.1f} s")
        return {"worker": self._name}

    def _trusted(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self._keys is None:
            return unsigned(payload)
        try:
            return self._keys.check(payload, self._memory.fleet)
        except UntrustedTaskError as error:
            self._tell(f"refused: {error}")
            raise


async def _until_shut(checkpoint: Checkpoint) -> None:
    """Return when the run is over, or was withdrawn; an outage is neither."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            if not await checkpoint.is_open():
                return
        except BackendUnavailableError:
            continue


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
