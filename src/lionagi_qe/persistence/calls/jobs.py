"""The calls that coordination.WorkQueue stands on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import AqeError, BatchTooLargeError
from lionagi_qe.persistence.calls.base import MAX_BATCH_BYTES
from lionagi_qe.persistence.calls.job_batches import JobBatchCalls
from lionagi_qe.persistence.calls.limits import LimitCalls
from lionagi_qe.persistence.calls.schedules import ScheduleCalls
from lionagi_qe.persistence.contract.jobs import (
    CancelJob,
    EndJob,
    PutJob,
    TransactionOperations,
)
from lionagi_qe.persistence.scheduling.retry import repeat_until_known
from lionagi_qe.persistence.values.codec import encode
from lionagi_qe.persistence.values.headers import any_headers, split_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.jobs import (
        Claim,
        ClaimedJob,
        JobOperation,
        JobRecord,
        JobRecordPage,
        QueueCounts,
    )
    from lionagi_qe.persistence.contract.notifier import Notifier

T = TypeVar("T")
_RINGING = frozenset({"retry", "release"})


class JobCalls(ScheduleCalls, LimitCalls, JobBatchCalls):
    """Put, claim, end and look at jobs by checked names; one round trip each.

    Operations on jobs made at the same moment travel together. Where they are safe to repeat, a
    lost answer is asked for again until ``timeout``.
    """

    @property
    def notifier(self) -> Notifier:
        """Rings when a queue of that name may have got a ready job."""
        return self._scheduler.jobs.notifier

    def encode(self, value: object) -> bytes:
        """Return a payload or a result as JSON; see ``codec.encode`` for what is refused."""
        return encode(value, self._max_value_bytes)

    async def write(self, operation: JobOperation, *, timeout: float | None = None) -> str:
        """Apply one operation; return what it comes to, see ``jobs``."""
        deadline = self._scheduler.deadline(timeout)
        scheduler = self._scheduler
        result = await repeat_until_known(
            lambda: scheduler.write_job(operation, deadline),
            deadline,
            lambda: self._confirm(operation.queue, deadline),
        )
        if isinstance(operation, PutJob) or (
            isinstance(operation, EndJob) and operation.ending in _RINGING
        ):
            self.notifier.notify(operation.queue)
        return result

    async def cancel(
        self, queue: str, job_id: str, keep_ms: int, *, timeout: float | None = None
    ) -> str:
        """Cancel a job, or have its worker told; return the state that it is in then."""
        return await self.write(CancelJob(queue, job_id, keep_ms), timeout=timeout)

    async def put_many(self, puts: Sequence[PutJob], *, timeout: float | None = None) -> list[str]:
        """Put jobs into one queue in one atomic step; return their ids."""
        if not puts:
            return []
        size = sum(len(put.payload) for put in puts)
        # The callback of a batch stands beside the jobs that were asked for.
        count = sum(put.makes is None for put in puts)
        if count > self._max_batch or size > MAX_BATCH_BYTES:
            msg = (
                f"batch of {count} jobs, {size} bytes: the limits are {self._max_batch} and "
                f"{MAX_BATCH_BYTES}; put it in parts"
            )
            raise BatchTooLargeError(msg)
        deadline = self._scheduler.deadline(timeout)

        async def put() -> list[str]:
            if any(each.after or each.batch for each in puts):
                # One that names an unknown job, or a batch that has ended, takes back the others.
                step = TransactionOperations((), puts)
                return (await self._scheduler.transact(step, size, deadline)).jobs
            results = await self._scheduler.write_jobs(puts, deadline)
            for result in results:
                if isinstance(result, AqeError):
                    raise result
            return results

        queue = puts[0].queue
        job_ids = await repeat_until_known(put, deadline, lambda: self._confirm(queue, deadline))
        self.notifier.notify(queue)
        return job_ids

    async def cancel_many(
        self, queue: str, job_ids: Sequence[str], keep_ms: int, *, timeout: float | None = None
    ) -> None:
        """Cancel jobs, each as ``cancel`` does; one round trip."""
        deadline = self._scheduler.deadline(timeout)
        cancels = [CancelJob(queue, job_id, keep_ms) for job_id in job_ids]
        await repeat_until_known(
            lambda: self._scheduler.write_jobs(cancels, deadline),
            deadline,
            lambda: self._confirm(queue, deadline),
        )

    async def _confirm(self, queue: str, deadline: float) -> None:
        await self._scheduler.perform(lambda: self._scheduler.jobs.confirm(queue), deadline)

    async def claim(
        self, queue: str, count: int, lease_ms: int, *, timeout: float | None = None
    ) -> Claim:
        """Claim jobs. Not repeated: if the answer is lost, the jobs come back as leases end."""
        claim = await self._ask(
            lambda jobs: jobs.claim(queue, count, lease_ms), timeout, repeat=False
        )
        if not any_headers(job.payload for job in claim.jobs):
            return claim
        return replace(claim, jobs=[*map(_split, claim.jobs)])

    async def listen(self, queue: str, *, timeout: float | None = None) -> bool:
        """Have the notifier hear other processes too from now on; False if it can't right now."""
        return await self._ask(lambda jobs: jobs.listen(queue), timeout)

    async def find(
        self, queue: str, job_ids: Sequence[str], *, timeout: float | None = None
    ) -> list[JobRecord | None]:
        """Return the jobs; None for the unknown."""
        found = await self._ask(lambda jobs: jobs.find(queue, job_ids), timeout)
        return [None if record is None else _without_headers(record) for record in found]

    async def details(
        self, queue: str, job_id: str, *, timeout: float | None = None
    ) -> JobDetails | None:
        """Return what a job waits for and belongs to; None for an unknown one."""
        return await self._ask(lambda jobs: jobs.details(queue, job_id), timeout)

    async def list_dead(
        self, queue: str, after: str, limit: int, *, timeout: float | None = None
    ) -> list[JobRecord]:
        """Return dead jobs with ids above ``after``, by id."""
        found = await self._ask(lambda jobs: jobs.list_dead(queue, after, limit), timeout)
        return [*map(_without_headers, found)]

    async def list_jobs(
        self,
        queue: str,
        state: ListedState,
        after: str,
        limit: int,
        *,
        timeout: float | None = None,
    ) -> JobRecordPage:
        """Return a page of the jobs in a state."""
        page = await self._ask(lambda jobs: jobs.list_jobs(queue, state, after, limit), timeout)
        told = [replace(each, record=_without_headers(each.record)) for each in page.jobs]
        return replace(page, jobs=told)

    async def results_before(
        self, queue: str, job_id: str, *, timeout: float | None = None
    ) -> list[tuple[str, bytes | str]]:
        """Return of each done job that the job comes after its id and result."""
        return await self._ask(lambda jobs: jobs.results_before(queue, job_id), timeout)

    async def revive(
        self, queue: str, job_ids: Sequence[str], *, timeout: float | None = None
    ) -> int:
        """Make dead jobs ready; return how many were dead. Not repeated: that number would be 0."""
        revived = await self._ask(lambda jobs: jobs.revive(queue, job_ids), timeout, repeat=False)
        self.notifier.notify(queue)
        return revived

    async def purge(
        self, queue: str, job_ids: Sequence[str], *, timeout: float | None = None
    ) -> int:
        """Remove dead jobs; return how many were dead. Not repeated: that number would be 0."""
        return await self._ask(lambda jobs: jobs.purge(queue, job_ids), timeout, repeat=False)

    async def count(self, queue: str, *, timeout: float | None = None) -> QueueCounts:
        """Count a queue's jobs by state."""
        return await self._ask(lambda jobs: jobs.count(queue), timeout)

    async def queues(self, *, timeout: float | None = None) -> list[str]:
        """Return the names of all queues of the fleet, sorted."""
        return await self._ask(lambda jobs: jobs.queues(), timeout)


def _split(job: ClaimedJob) -> ClaimedJob:
    headers, payload = split_headers(job.payload)
    return job if payload is job.payload else replace(job, payload=payload, headers=headers)


def _without_headers(record: JobRecord) -> JobRecord:
    _, payload = split_headers(record.payload)
    return record if payload is record.payload else replace(record, payload=payload)
