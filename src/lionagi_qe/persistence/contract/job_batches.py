"""The contract of batches of jobs, beside that of queues.

A batch is made by the put of its callback, a job that is "waiting" until all of the batch have
ended, and whose id is the batch's. The step that ends a job of the batch counts it there, and the
one that ends the last of them decides on the callback: it is ready, or where all had to succeed and
some did not, dead (cancelled, if none of them is dead) with an error that has the counts.

A dead job of the batch that is revived counts as pending again, and a callback that the batch had
die waits again; one that was ready once never is by that.

Jobs are put into a batch in one atomic step with the callback, or with the first of them, which
says how many there are: so the server counts them once, however often that step is repeated. A
callback that waits no more takes no further ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.job_states import State

When = Literal["all-succeeded", "all-done"]
WHEN: tuple[When, ...] = ("all-succeeded", "all-done")
BatchJobState = Literal["pending", "done", "dead", "cancelled"]
# As the servers number what became of a job of a batch.
BATCH_JOB_STATES: dict[int, BatchJobState] = {0: "pending", 3: "done", 4: "dead", 5: "cancelled"}
# No id lies above it.
ABOVE_ALL_IDS = chr(0x10FFFF)
# JSON that the servers write of a callback that isn't called; behind it the counts.
BATCH_FAILED = '"of the jobs of its batch '


def when_of(succeeded: object) -> When:
    """Return when a callback is called; servers keep whether all must succeed."""
    return "all-succeeded" if succeeded else "all-done"


@dataclass(frozen=True, slots=True)
class MakeBatch:
    """What the put of a callback makes.

    Attributes:
        when: it is called.
        jobs: how many are put with it; without any it doesn't wait.
        keep_ms: for how long it is kept if it is cancelled, as some of the batch were.
    """

    when: When
    jobs: int
    keep_ms: int


@dataclass(frozen=True, slots=True)
class InBatch:
    """Whose batch a job is put into.

    ``adds``: of the first of those put without the callback, how many; else 0.
    """

    batch_id: str
    adds: int = 0


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as the server knows it; ``state``: of its callback."""

    batch_id: str
    state: State
    when: When
    pending: int
    done: int
    dead: int
    cancelled: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class BatchJobRecord:
    """A job of a batch; ``outcome``: its result, its last error, or None."""

    job_id: str
    state: BatchJobState
    outcome: bytes | str | None
