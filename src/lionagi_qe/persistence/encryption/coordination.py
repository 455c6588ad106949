"""Queues whose payloads and results, and leases whose holders, are sealed."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from lionagi_qe.errors import DecryptionError
from lionagi_qe.persistence.contract.failed_attempts import failures_of, failures_text
from lionagi_qe.persistence.contract.job_batches import BATCH_FAILED
from lionagi_qe.persistence.contract.jobs import (
    AFTER_FAILED,
    LEASE_ENDED,
    EndJob,
    PutJob,
    TransactionOperations,
)
from lionagi_qe.persistence.contract.leases import Tenure
from lionagi_qe.persistence.encryption.keys import place_of
from lionagi_qe.persistence.values.codec import encode
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord, BatchRecord
    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.jobs import (
        Claim,
        ClaimedJob,
        JobBackend,
        JobOperation,
        JobRecord,
        JobRecordPage,
        JobResult,
        QueueCounts,
        TransactionResults,
    )
    from lionagi_qe.persistence.contract.leases import LeaseBackend
    from lionagi_qe.persistence.contract.notifier import Notifier
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.encryption.keys import KeyRing

# A worker that has the key may be there by then.
_PAUSE_MS = 1_000
_WRITTEN_BY_SERVERS = (AFTER_FAILED.encode(), BATCH_FAILED.encode())

_log = logging.getLogger(__name__)


class EncryptedJobs:
    """The queues of a backend that stores sealed payloads, results and errors."""

    def __init__(
        self,
        inner: JobBackend,
        keys: KeyRing,
        fleet: str,
        transact: Callable[[TransactionOperations], Awaitable[TransactionResults]],
    ) -> None:
        self._inner = inner
        self._keys = keys
        self._fleet = fleet
        self._transact = transact

    @property
    def notifier(self) -> Notifier:
        """The backend's."""
        return self._inner.notifier

    async def listen(self, queue: str, /) -> bool:
        """Hear of other processes too."""
        return await self._inner.listen(queue)

    def _place(self, kind: str, queue: str, job_id: str) -> bytes:
        return place_of(self._fleet, kind, queue, job_id)

    def _seal(self, operation: JobOperation) -> JobOperation:
        match operation:
            case PutJob():
                place = self._place("job", operation.queue, operation.job_id)
                if operation.on_duplicate == "replace":
                    # The server decides which job gets it.
                    place = any_job(self._fleet, operation.queue)
            case EndJob(ending="ack"):
                place = self._place("result", operation.queue, operation.job_id)
            case EndJob(ending="retry" | "bury"):
                place = self._place("error", operation.queue, operation.job_id)
                if operation.detail:
                    detail = self._keys.seal(place, operation.detail)
                    operation = replace(operation, detail=detail)
            case EndJob(ending="progress"):
                place = self._place("progress", operation.queue, operation.job_id)
            case _:
                return operation
        return replace(operation, payload=self._keys.seal(place, operation.payload))

    def _open(self, kind: str, queue: str, job_id: str, sealed: bytes | str) -> bytes:
        return self._keys.open(self._place(kind, queue, job_id), sealed)

    def _open_payload(self, queue: str, job_id: str, sealed: bytes | str) -> bytes:
        try:
            return self._open("job", queue, job_id, sealed)
        except DecryptionError:
            with contextlib.suppress(DecryptionError):
                return self._keys.open(any_job(self._fleet, queue), sealed)
            raise

    def _open_outcome(self, queue: str, job: JobRecord | BatchJobRecord) -> bytes | str | None:
        if job.state == "done" and not job.outcome:
            msg = f"result of job {job.job_id} in queue {queue!r}: is gone"
            raise DecryptionError(msg)
        kind = kind_of_outcome(job)
        if kind is None or job.outcome is None:
            return job.outcome
        return self._open(kind, queue, job.job_id, job.outcome)

    def _open_failures(self, queue: str, job_id: str, failures: bytes | str) -> str:
        opened = [
            failure
            if is_the_servers(failure.text)
            else failure._replace(text=self._open("error", queue, job_id, failure.text).decode())
            for failure in failures_of(failures)
        ]
        return failures_text(opened)

    def _open_record(self, queue: str, record: JobRecord) -> JobRecord:
        # A job that is done or cancelled is kept for its outcome alone.
        payload, progress = record.payload, record.progress
        if record.state not in {"done", "cancelled"}:
            payload = self._open_payload(queue, record.job_id, payload)
        outcome = self._open_outcome(queue, record)
        if progress:
            progress = self._open("progress", queue, record.job_id, progress)
        failures = record.failures
        if failures:
            failures = self._open_failures(queue, record.job_id, failures)
        return replace(
            record, payload=payload, outcome=outcome, progress=progress, failures=failures
        )

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Apply the operations, sealed."""
        return await self._inner.write([*map(self._seal, operations)])

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply all of it or nothing."""
        jobs = [*map(self._seal, step.jobs)]
        return await self._transact(TransactionOperations(step.operations, jobs))

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Hand out ready jobs, opened; DecryptionError if that can be done with none of them.

        What can't be opened has failed an attempt, so that it is dead after some, and stops nobody
        who has its key.
        """
        claim = await self._inner.claim(queue, count, lease_ms)
        jobs: list[ClaimedJob] = []
        refused: list[tuple[ClaimedJob, DecryptionError]] = []
        for job in claim.jobs:
            try:
                payload = self._open_payload(queue, job.job_id, job.payload)
            except DecryptionError as error:
                refused.append((job, error))
            else:
                jobs.append(replace(job, payload=payload))
        if refused:
            await self._fail(queue, refused)
            if not jobs:
                raise refused[0][1]
        return replace(claim, jobs=jobs)

    async def _fail(
        self, queue: str, refused: Sequence[tuple[ClaimedJob, DecryptionError]]
    ) -> None:
        endings: list[JobOperation] = []
        for job, error in refused:
            _log.error(
                "queue %r: %s",
                queue,
                error,
                extra=log_fields(queue=queue, job=job.job_id, error=error),
            )
            told = encode(f"{type(error).__name__}: {error}")
            endings.append(
                EndJob(queue, job.job_id, job.claim, "retry", payload=told, ms=_PAUSE_MS)
            )
        # One that is lost by now is another's: nothing is left to be done for it.
        await self.write(endings)

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Return the jobs, opened."""
        found = await self._inner.find(queue, job_ids)
        return [None if each is None else self._open_record(queue, each) for each in found]

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Return what a job waits for and belongs to, of which nothing is sealed."""
        return await self._inner.details(queue, job_id)

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Return dead jobs, opened."""
        found = await self._inner.list_dead(queue, after, limit)
        return [self._open_record(queue, each) for each in found]

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Return a page of the jobs in a state, opened."""
        page = await self._inner.list_jobs(queue, state, after, limit)
        opened = [replace(each, record=self._open_record(queue, each.record)) for each in page.jobs]
        return replace(page, jobs=opened)

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Return the results of what the job comes after, opened."""
        found = await self._inner.results_before(queue, job_id)
        return [(before, self._open("result", queue, before, sealed)) for before, sealed in found]

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Return a batch."""
        return await self._inner.find_batch(queue, batch_id)

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Return the batches of a queue."""
        return await self._inner.list_batches(queue, after, limit)

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Return jobs of a batch, their outcomes opened."""
        found = await self._inner.batch_jobs(queue, batch_id, after, limit, pending=pending)
        return [replace(each, outcome=self._open_outcome(queue, each)) for each in found]

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead jobs ready."""
        return await self._inner.revive(queue, job_ids)

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Remove dead jobs."""
        return await self._inner.purge(queue, job_ids)

    async def count(self, queue: str) -> QueueCounts:
        """Count the queue's jobs."""
        return await self._inner.count(queue)

    async def queues(self) -> list[str]:
        """Return the names of all queues."""
        return await self._inner.queues()

    async def confirm(self, queue: str) -> None:
        """Return once what was written to the queue is safe."""
        await self._inner.confirm(queue)


def any_job(fleet: str, queue: str) -> bytes:
    """Return the place of what may become the payload of any job of a queue."""
    return place_of(fleet, "job", queue, "")


def kind_of_outcome(job: JobRecord | BatchJobRecord) -> Literal["result", "error"] | None:
    """Return as what a job's outcome is sealed; None if it has none, or a server wrote it."""
    if not job.outcome:
        return None
    if job.state == "done":
        return "result"
    return None if is_the_servers(job.outcome) else "error"


def is_the_servers(outcome: bytes | str) -> bool:
    """Whether a server itself wrote this error: it has no keys."""
    # What somebody else put there may be no text at all.
    stored = outcome.encode() if isinstance(outcome, str) else outcome
    return stored == LEASE_ENDED.encode() or stored.startswith(_WRITTEN_BY_SERVERS)


class EncryptedLeases:
    """The leases of a backend that stores sealed names of holders."""

    def __init__(self, inner: LeaseBackend, keys: KeyRing, fleet: str) -> None:
        self._inner = inner
        self._keys = keys
        self._fleet = fleet

    def _place(self, name: str) -> bytes:
        return place_of(self._fleet, "lease", name)

    def _open(self, name: str, tenure: Tenure) -> Tenure:
        holder = self._keys.open(self._place(name), tenure.holder)
        return Tenure(tenure.token, holder.decode(), tenure.remaining_ms)

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Give the lease to ``holder``; asked again, the server has to find the same text."""
        sealed = self._keys.seal(self._place(name), holder.encode(), fixed=True)
        return self._open(name, await self._inner.acquire(name, sealed.decode(), ttl_ms))

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Let the lease end later."""
        return await self._inner.renew(fence, ttl_ms)

    async def release(self, fence: Fence) -> bool:
        """End the lease."""
        return await self._inner.release(fence)

    async def look(self, name: str) -> Tenure | None:
        """Return who holds the lease."""
        tenure = await self._inner.look(name)
        return None if tenure is None else self._open(name, tenure)

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Return the held leases, their holders opened."""
        found = await self._inner.list_held(after, limit)
        return [(name, self._open(name, tenure)) for name, tenure in found]
