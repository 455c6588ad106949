"""The executor of runs whose work is all done in this process."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from lionagi_qe.fleet.executors.executor import WorkersGoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.fleet.commander import Carried
    from lionagi_qe.fleet.task import Task


class LocalExecutor:
    """Has no workers, so that whoever asks does the work.

    Args:
        notes: why it is so, where somebody asked for more.
    """

    keeps_results = False

    def __init__(self, *notes: str) -> None:
        self.notes = notes

    async def workers(self) -> int:
        """Return 0."""
        return 0

    async def put(self, content: bytes) -> str:
        """Return a content's name; nobody will ask for it."""
        return hashlib.sha256(content).hexdigest()

    async def now(self) -> float:
        """Return the time in ms since 1970 by this machine."""
        return time.time() * 1000

    async def carry_out(self, task: Task, tell: Callable[[str], None]) -> Carried:
        """Raise WorkersGoneError: for parts of a run that was divided before it was resumed."""
        del tell
        raise WorkersGoneError(f"{task.name} has no worker")

    async def close(self) -> None:
        """Do nothing."""
