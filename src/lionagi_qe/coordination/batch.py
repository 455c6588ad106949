"""Batches: jobs that are put as one, and a callback that is called when they have ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination.new_job import NewJob, new_job_ids, new_jobs
from lionagi_qe.errors import InvalidArgumentError, JobNotFoundError
from lionagi_qe.persistence.contract.job_batches import WHEN, InBatch
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.transaction import check_transaction
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from lionagi_qe.coordination.job_traces import JobTraces
    from lionagi_qe.persistence.calls.jobs import JobCalls
    from lionagi_qe.persistence.contract.job_batches import (
        BatchJobRecord,
        BatchJobState,
        BatchRecord,
        When,
    )
    from lionagi_qe.persistence.contract.job_states import State
    from lionagi_qe.persistence.contract.jobs import PutJob
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.transaction import Transaction

    PutOf = Callable[[NewJob, Fence | None, Mapping[str, str]], PutJob]

PAGE = 1_000
# Tells a job which batch it is of; beside the trace context in front of its payload.
HEADER = "aqe-batch"


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How a batch stands.

    Attributes:
        id: the batch's, and that of its callback.
        state: of the callback: "waiting" until it is decided on.
        when: it is called, "all-succeeded" or "all-done".
        total: how many jobs the batch has.
        pending: how many have not ended: they wait, are delayed, ready or claimed.
        done: how many succeeded.
        dead: how many failed for good.
        cancelled: how many were cancelled.
        created_at: when it was put, UTC by the server's clock.
    """

    id: str
    state: State
    when: When
    total: int
    pending: int
    done: int
    dead: int
    cancelled: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BatchJob:
    """What became of a job of a batch.

    Attributes:
        id: the job's id.
        state: "pending", "done", "dead" or "cancelled".
        result: what it came to, if it is done.
        error: its last error, if it is dead or was cancelled after one.
    """

    id: str
    state: BatchJobState
    result: Any
    error: Any


class Batch:
    """Jobs that were put as one; made by ``queue.batch``, for others by ``queue.get_batch``.

    What became of each job is kept as long as the callback: until ``result_ttl`` after it is done
    or cancelled, and while it is dead.

    Attributes:
        id: the batch's, which is that of its callback: ``queue.result(batch.id)``.
    """

    def __init__(  # noqa: PLR0913 - made by queues alone
        self,
        queue: str,
        put_of: PutOf,
        calls: JobCalls,
        traces: JobTraces,
        batch_id: str,
        *,
        result_ttl_ms: int,
    ) -> None:
        self._queue = queue
        self._put_of = put_of
        self._calls = calls
        self._traces = traces
        self._result_ttl_ms = result_ttl_ms
        self.id = batch_id

    def __repr__(self) -> str:
        return f"<Batch {self.id} of {self._queue!r}>"

    async def progress(self) -> BatchProgress:
        """Return how the batch stands; anybody may ask. One round trip, whatever its size.

        JobNotFoundError if the queue doesn't know it, or not any more.
        """
        record = await self._calls.find_batch(self._queue, self.id)
        if record is None:
            msg = (
                f"batch {self.id}: queue {self._queue!r} doesn't know it; batches are kept "
                "for result_ttl behind their callbacks"
            )
            raise JobNotFoundError(msg)
        return progress_of(record)

    async def jobs(self, limit: int = PAGE, after: str = "") -> list[BatchJob]:
        """Return a page of the batch's jobs with their results and errors.

        By id, which is the order of those that were put together.

        ``after``: go on behind the job with this id. One round trip, which costs what it returns.
        """
        behind = "" if after == "" else check_name("job id", after)
        count = check_count("limit", limit)
        page = await self._calls.batch_jobs(self._queue, self.id, behind, count)
        return [_shown(record) for record in page]

    async def results(self) -> AsyncGenerator[BatchJob]:
        """Go through all jobs of the batch, by id; a round trip for each 1,000."""
        after = ""
        while page := await self.jobs(PAGE, after):
            for job in page:
                yield job
            after = page[-1].id

    async def add(
        self,
        payloads: Iterable[Any],
        *,
        fence: Fence | Fenced | None = None,
        transaction: Transaction | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Add jobs to the batch in one atomic step and return their ids, in order.

        From within a job of the batch this is always possible: its callback waits for that job,
        too. With ``transaction``, that of the job's ``ack``, they are added once however often the
        job is tried. Otherwise as ``queue.batch``.

        Raises:
            BatchEndedError: all of its jobs have ended, or it was cancelled; nothing was added.
            BatchTooLargeError: more than the memory's ``max_batch``.

        """
        new = new_members(payloads)
        transaction = check_transaction(transaction)
        held = fence_of(fence)
        if transaction is not None:
            if held is not None:
                msg = "fence: give it to memory.transaction(fence=...), for all that it changes"
                raise InvalidArgumentError(msg)
            with self._traces.creating() as headers:
                puts = self._further(new, transaction.fence, headers)
            for put in puts:
                transaction.add_job(put)
            return [put.job_id for put in puts]
        with self._traces.sending("add", len(new)) as headers:
            puts = self._further(new, held, headers)
            return await self._calls.put_many(puts, timeout=timeout)

    def _further(
        self, new: list[NewJob], fence: Fence | None, headers: Mapping[str, str]
    ) -> list[PutJob]:
        """Return the puts of further jobs of this batch; the first counts all of them."""
        puts = members(self.id, self._put_of, new, fence, headers)
        return [replace(put, batch=InBatch(self.id, len(new))) for put in puts[:1]] + puts[1:]

    async def cancel(self, *, timeout: float | None = None) -> BatchProgress:
        """Cancel the callback, then all jobs that have not ended; return how the batch stands then.

        From the first step on it takes no more jobs. Those that run are told, as ``queue.cancel``
        has it, and count as pending until they have ended. Two round trips for each 1,000 jobs;
        safe to repeat, and to go on with where it was broken off.
        """
        await self.progress()
        await self._calls.cancel(self._queue, self.id, self._result_ttl_ms, timeout=timeout)
        after = ""
        while page := await self._calls.batch_jobs(
            self._queue, self.id, after, PAGE, pending=True, timeout=timeout
        ):
            ids = [record.job_id for record in page]
            await self._calls.cancel_many(self._queue, ids, self._result_ttl_ms, timeout=timeout)
            after = ids[-1]
        return await self.progress()


def members(
    batch_id: str,
    put_of: PutOf,
    new: list[NewJob],
    fence: Fence | None,
    headers: Mapping[str, str],
) -> list[PutJob]:
    """Return the puts of jobs of a batch, which somebody else has counted."""
    told, of_this = with_batch(headers, batch_id), InBatch(batch_id)
    return [
        replace(put_of(job, fence, told), job_id=job_id, batch=of_this)
        for job, job_id in zip(new, new_job_ids(len(new)), strict=True)
    ]


def with_batch(headers: Mapping[str, str], batch_id: str) -> dict[str, str]:
    """Return the headers of a job of this batch, or of its callback."""
    return {**headers, HEADER: batch_id}


def new_members(payloads: object) -> list[NewJob]:
    """Return what is to be put into a batch."""
    new = new_jobs(payloads)
    if any(job.dedupe is not None for job in new):
        msg = "dedupe: another job of that key might not be of the batch, which would count it"
        raise InvalidArgumentError(msg)
    return new


def check_then(then: object) -> NewJob:
    """Return what is put as a callback."""
    job = then if isinstance(then, NewJob) else NewJob(then)
    if job != NewJob(job.payload, job.priority):
        msg = "then: of its settings a callback has its priority alone; it comes after its batch"
        raise InvalidArgumentError(msg)
    return job


def check_when(when: object) -> When:
    """Return when a callback is called, if it can be."""
    for known in WHEN:
        if when == known:
            return known
    msg = f"when {when!r}: is one of {', '.join(WHEN)}"
    raise InvalidArgumentError(msg)


def progress_of(record: BatchRecord) -> BatchProgress:
    """Return a batch as users see it."""
    return BatchProgress(
        record.batch_id,
        record.state,
        record.when,
        record.pending + record.done + record.dead + record.cancelled,
        record.pending,
        record.done,
        record.dead,
        record.cancelled,
        datetime.fromtimestamp(record.created_ms / 1000, UTC),
    )


def _shown(record: BatchJobRecord) -> BatchJob:
    outcome = decode(record.outcome) if record.outcome else None
    is_done = record.state == "done"
    return BatchJob(
        record.job_id, record.state, outcome if is_done else None, None if is_done else outcome
    )
