"""The contract of work queues that a backend fills."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lionagi_qe.errors import (
    AqeError,
    BatchEndedError,
    JobLostError,
    JobNotFoundError,
    StaleFenceError,
)
from lionagi_qe.persistence.contract.job_states import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.persistence.contract.job_batches import (
        BatchJobRecord,
        BatchRecord,
        InBatch,
        MakeBatch,
    )
    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.job_states import State
    from lionagi_qe.persistence.contract.notifier import Notifier
    from lionagi_qe.persistence.contract.operations import Fence, Operation

OnDuplicate = Literal["keep", "replace", "earliest"]
ON_DUPLICATE: tuple[OnDuplicate, ...] = ("keep", "replace", "earliest")
# JSON, as all outcomes are.
LEASE_ENDED = '"its worker let the lease end"'
# What the servers write of a job that can't be done because of one that it comes after; behind it
# that one's id and what became of it.
AFTER_FAILED = '"comes after job '


@dataclass(frozen=True, slots=True)
class PutJob:
    """Add a job; the result is its id, or that of the unended job with the same ``dedupe``.

    ``job_id`` is unique to this call, so putting it again after a lost answer adds nothing.

    Attributes:
        on_duplicate: what becomes of the unended job with the same ``dedupe``. "keep": nothing.
            "replace": one that waits gets this payload, priority, delay and number of attempts,
            and no attempt counts as used; one that is claimed loses the key and all further
            attempts to this one, which is added. "earliest": one that waits gets the lower of both
            priorities and the earlier of both times.
        dedupe_ms: for so long from now on ``dedupe`` is this job's, even if it ends before.
        limit_key: the line in which it waits, see ``contract.limits``; None for the queue's own.
        after: ids of jobs of the queue, see ``contract.dependencies``. JobNotFoundError if one of
            them is unknown, or not kept any more.
        makes: the batch whose callback it is, see ``contract.job_batches``.
        batch: the batch that it is of. BatchEndedError if that is unknown, or its callback waits
            no more.
    """

    queue: str
    job_id: str
    payload: bytes
    priority: int = 0
    delay_ms: int = 0
    dedupe: str | None = None
    max_attempts: int = 5
    fence: Fence | None = None
    on_duplicate: OnDuplicate = "keep"
    dedupe_ms: int = 0
    limit_key: str | None = None
    after: tuple[str, ...] = ()
    makes: MakeBatch | None = None
    batch: InBatch | None = None


Ending = Literal["ack", "retry", "bury", "release", "extend", "progress"]


@dataclass(frozen=True, slots=True)
class EndJob:
    """End a claim, or extend it; the result is the job's state after that.

    A job that is being cancelled is cancelled by each ending but "ack", and "cancelling" after
    "extend" and "progress".

    Only while it is the job's last claim, else JobLostError; doing it again comes to the same.

    Attributes:
        claim: the number of the claim, which a job never has twice.
        ending: "ack" keeps ``payload`` as the result for ``ms``; "retry" makes it ready after
            ``ms``, or dead if it was its last attempt, with ``payload`` as the error; "bury" makes
            it dead; "release" gives it back as if it had not been claimed; "extend" lets the claim
            end ``ms`` from now; "progress" notes ``payload`` for others to read.
        detail: of "retry" and "bury", what is kept of this attempt, see
            ``contract.failed_attempts``.
    """

    queue: str
    job_id: str
    claim: int
    ending: Ending
    payload: bytes = b""
    ms: int = 0
    fence: Fence | None = None
    detail: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Cancel a job; the result is its state after that, "unknown" if there is no such job.

    One that waits is "cancelled" and kept for ``ms``; one whose claim holds is "cancelling": its
    worker's next extension comes to that, and when that worker ends it, or its claim ends, it is
    cancelled. One that is "done" or "dead" stays so.
    """

    queue: str
    job_id: str
    ms: int
    payload: bytes = b""
    fence: Fence | None = None


JobOperation = PutJob | EndJob | CancelJob
JobResult = str | AqeError


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in a worker's hands; ``headers`` are split off its payload by who calls a backend."""

    job_id: str
    payload: bytes | str
    priority: int
    attempt: int
    max_attempts: int
    claim: int
    created_ms: int
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Jobs claimed. ``due_ms``: when to look again if nothing is put, None for never."""

    jobs: list[ClaimedJob]
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the server knows it.

    Attributes:
        outcome: its result if it is done, else its last error.
        progress: what its worker noted last.
        limit_key: the line that it waits in, None for the queue's own.
        failures: its failed attempts as ``contract.failed_attempts`` says; ``find`` alone tells.
    """

    job_id: str
    state: State
    priority: int
    attempts: int
    max_attempts: int
    payload: bytes | str
    outcome: bytes | str | None
    created_ms: int
    progress: bytes | str | None = None
    limit_key: str | None = None
    failures: bytes | str | None = None


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A job in a list; ``due_ms``: when its delay or its claim ends, None in other states."""

    record: JobRecord
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class JobRecordPage:
    """Jobs, and what to pass as ``after`` for those behind them; None at the end."""

    jobs: list[ListedRecord]
    after: str | None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs of a queue are in each state; done and cancelled ones as long as kept.

    ``exact``: each number is the true one, not what was counted up to.
    """

    ready: int
    delayed: int
    claimed: int
    done: int
    dead: int
    cancelled: int
    waiting: int
    exact: bool


@dataclass(frozen=True, slots=True)
class TransactionOperations:
    """Operations on entries and jobs that are applied together or not at all."""

    operations: Sequence[Operation]
    jobs: Sequence[JobOperation]


@dataclass(frozen=True, slots=True)
class TransactionResults:
    """What the operations of a transaction came to."""

    operations: list[Any]
    jobs: list[str]


class JobBackend(Protocol):
    """The queues of one fleet. Each call is atomic and takes one round trip."""

    @property
    def notifier(self) -> Notifier:
        """Rings in this process when a queue may have got a ready job."""
        ...

    async def listen(self, queue: str, /) -> bool:
        """Let the queue's notifier ring for other processes too from now on; False if it can't."""
        ...

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Apply the operations, each atomic by itself; those of one job in order."""
        ...

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply all of it, or raise the error of the first that fails and apply nothing.

        CrossShardError if not all of it lies in one shard.
        """
        ...

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Hand out up to ``count`` ready jobs, the lowest priority number first, then the oldest.

        Jobs whose delay or claim has ended are ready, or dead if it was their last attempt.
        """
        ...

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Return the jobs; None for the unknown and for what is no longer kept."""
        ...

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Return what a job waits for and belongs to; None as ``find`` does."""
        ...

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Return dead jobs with ids above ``after``, in order of their ids."""
        ...

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Return a page of the jobs in a state; ``after``: what the page before gave, or "".

        Ready ones in the order of claims, those of each limit key behind those without one; delayed
        and claimed ones by when that ends; others the newest first. Costs what it holds and not
        what was listed before; but to list ended jobs may pass those of other queues.
        InvalidArgumentError: ``after`` is not what a page gave.
        """
        ...

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Return of each done job that the job comes after its id and result, in order of ids.

        Kept with the job, however long that waits, until it is done, cancelled or purged.
        """
        ...

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Return a batch; None for one that isn't known, or not kept any more."""
        ...

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Return batches with ids below ``after`` (all, if ""), the highest first."""
        ...

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Return jobs of a batch with ids above ``after``, in order of ids, with their outcomes.

        ``pending``: those alone that have not ended. All are kept for as long as the callback.
        """
        ...

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead jobs ready, all their attempts before them; return how many that were.

        One whose ``dedupe`` an unended job has by now stays dead, and so does one that comes after
        a job that is dead itself, or not kept any more.
        """
        ...

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Remove dead jobs; return how many were dead."""
        ...

    async def count(self, queue: str) -> QueueCounts:
        """Count the queue's jobs by state."""
        ...

    async def queues(self) -> list[str]:
        """Return the names of all queues that jobs were ever put into, sorted."""
        ...

    async def confirm(self, queue: str) -> None:
        """Return once what was written to the queue before is as safe as an acknowledged change.

        Asked after a repeat of a change whose answer was lost: it may have found all done.
        """
        ...


def job_key(operation: JobOperation) -> str:
    """Return the name under which operations on a job keep their order; no entry's key."""
    return f"job/{operation.job_id}"


def options_of(put: PutJob) -> str:
    """Return in JSON what the put asks for beyond what every put has; "" for nothing."""
    options: dict[str, Any] = {}
    if put.on_duplicate != "keep":
        options["on_duplicate"] = put.on_duplicate
    if put.dedupe_ms:
        options["dedupe_ms"] = put.dedupe_ms
    if put.limit_key is not None:
        options["limit_key"] = put.limit_key
    if put.after:
        options["after"] = put.after
    if put.makes is not None:
        makes = put.makes
        options["makes"] = [int(makes.when == "all-succeeded"), makes.jobs, makes.keep_ms]
    if put.batch is not None:
        options["batch"] = put.batch.batch_id
        if put.batch.adds:
            options["adds"] = put.batch.adds
    return json.dumps(options) if options else ""


def job_result(operation: JobOperation, status: str, figure: str) -> JobResult:
    """Return the result, or the error, that a server's status means.

    ``figure`` is the id of a job that was put, else the number of its state, "" if it is unknown.
    """
    if status == "ok":
        if isinstance(operation, PutJob):
            return figure
        return STATES[int(figure)] if figure else "unknown"
    if status == "unknown":
        batch = operation.batch if isinstance(operation, PutJob) else None
        if batch is not None and batch.batch_id == figure:
            return BatchEndedError(figure)
        return JobNotFoundError(
            f"after: queue {operation.queue!r} doesn't know job {figure}, which is to be done "
            "before; done and cancelled jobs are known for result_ttl"
        )
    if status == "stale" and operation.fence is not None:
        return StaleFenceError(operation.fence.name, operation.fence.token)
    return JobLostError(operation.job_id)
