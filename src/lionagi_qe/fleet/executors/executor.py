"""What the fleet asks of whatever carries out tasks elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.fleet.commander import Carried
    from lionagi_qe.fleet.task import Task


# How often, in seconds, who waits for a worker looks whether it is still there.
PATROL_SECONDS = 1.0
# So many looks in a row that find none, and nobody is left.
PATIENCE = 2


class WorkersGoneError(AqeError):
    """Nobody is left who could carry out a task; the message says why, for people."""


class Executor(Protocol):
    """Carries out tasks of one run somewhere else; to be closed when the run ends or is given up.

    Attributes:
        keeps_results: what tasks found is in the run's checkpoint by the time it is returned.
        notes: what a reader of the report should know of where the work was done.
    """

    @property
    def keeps_results(self) -> bool:
        """Whether the checkpoint has what ``carry_out`` returns."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the report should know."""
        ...

    async def workers(self) -> int:
        """Return how many tasks could be carried out at once; 0 if nobody is there.

        Raises:
            BackendUnavailableError: the memory, where workers are told, can't be reached.

        """
        ...

    async def put(self, content: bytes) -> str:
        """Make a content available to tasks; return its SHA-256, by which they name it.

        Raises:
            AqeError: it is too large.

        """
        ...

    async def now(self) -> float:
        """Return the time in ms since 1970 by the clock that tasks' times are told by."""
        ...

    async def carry_out(self, task: Task, tell: Callable[[str], None]) -> Carried:
        """Return what comes of a task, wherever and however often it had to be begun.

        To be cancelled: its worker then drops the task and ends the project's processes.

        Args:
            task: what is to be done; its contents were ``put``.
            tell: told of workers that were lost.

        Raises:
            WorkersGoneError: nobody is there (any more) to do it.
            JobFailedError: workers were given it ``channels.MAX_ATTEMPTS`` times, and failed.

        """
        ...

    async def close(self) -> None:
        """Have workers drop what they have of the run; once or more often."""
        ...
