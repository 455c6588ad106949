"""Which executor a run has, by its settings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.executor_choice import is_address
from lionagi_qe.errors import BackendUnavailableError
from lionagi_qe.fleet.executors.local import LocalExecutor
from lionagi_qe.fleet.executors.queue import QueueExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.fleet.checkpoint import Checkpoint
    from lionagi_qe.fleet.executors.executor import Executor
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.persistence import Memory


@asynccontextmanager
async def open_executor(
    memory: Memory, request: Request, checkpoint: Checkpoint
) -> AsyncGenerator[Executor]:
    """Yield the executor that a run asks for.

    Raises:
        BackendUnavailableError: the scheduler can't be reached; a run that is resumed goes on here.
        ConfigurationError: what it needs is not installed or not set, or of another version there.

    """
    executor = await _executor(memory, request, checkpoint)
    try:
        yield executor
    finally:
        await executor.close()


async def _executor(memory: Memory, request: Request, checkpoint: Checkpoint) -> Executor:
    chosen = request.settings.executor
    if chosen == "local":
        return LocalExecutor()
    if request.python is not None:
        # An interpreter of this machine is not that of another one.
        if chosen == "auto":
            return LocalExecutor()
        return LocalExecutor(
            f"executor {chosen}: with --python all is done here, where that interpreter is"
        )
    if not is_address(chosen):
        return QueueExecutor(memory, checkpoint, asked=chosen == "queue")
    # What it imports takes as long as a short run.
    from lionagi_qe.fleet.executors.dask import DaskExecutor

    try:
        return await DaskExecutor.connect(chosen, memory.fleet)
    except BackendUnavailableError as error:
        if not request.resume:
            raise
        return LocalExecutor(f"{error}; the run was resumed, so it went on here")
