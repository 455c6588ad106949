"""Queues and leases of which only those in a scope can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.notifier import Notifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord, BatchRecord
    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.jobs import (
        Claim,
        JobBackend,
        JobOperation,
        JobRecord,
        JobRecordPage,
        JobResult,
        QueueCounts,
        TransactionOperations,
        TransactionResults,
    )
    from lionagi_qe.persistence.contract.leases import LeaseBackend, Tenure
    from lionagi_qe.persistence.contract.limits import JobLimit, LimitBackend
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.contract.schedules import (
        Fire,
        PutSchedule,
        ScheduleBackend,
        ScheduleRecord,
        Schedules,
    )
    from lionagi_qe.persistence.scopes.scope import Scope


class ScopedNotifier(Notifier):
    """Tells of the queues of a scope."""

    def __init__(self, whole: Notifier, scope: Scope) -> None:
        super().__init__()
        self._whole = whole
        self._scope = scope

    @property
    def awaited(self) -> list[str]:
        """The queues that somebody waits for."""
        return [name for name in self._whole.awaited if self._scope.queues.allow(name)]

    def count(self, name: str) -> int:
        """Return how often ``name`` was notified."""
        self._scope.check_queue(name)
        return self._whole.count(name)

    def notify(self, name: str) -> None:
        """Wake all who wait for ``name``."""
        self._scope.check_queue(name)
        self._whole.notify(name)

    def notify_all(self) -> None:
        """Refuse: it is the backend's own."""
        raise self._scope.refusal("waking everybody")

    async def wait(self, name: str, since: int, seconds: float) -> bool:
        """Wait until there are more than ``since``."""
        self._scope.check_queue(name)
        return await self._whole.wait(name, since, seconds)


class ScopedJobs:
    """The queues of a scope."""

    def __init__(self, whole: JobBackend, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope

    @property
    def notifier(self) -> Notifier:
        """Tells of the scope's queues."""
        return ScopedNotifier(self._whole.notifier, self._scope)

    async def listen(self, queue: str, /) -> bool:
        """Hear of other processes too."""
        self._scope.check_queue(queue)
        return await self._whole.listen(queue)

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Apply the operations."""
        self._scope.check_jobs(operations)
        return await self._whole.write(operations)

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply all of it or nothing."""
        self._scope.check_operations(step.operations)
        self._scope.check_jobs(step.jobs)
        return await self._whole.transact(step)

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Hand out ready jobs."""
        self._scope.check_queue(queue)
        return await self._whole.claim(queue, count, lease_ms)

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Return the jobs."""
        self._scope.check_queue(queue)
        return await self._whole.find(queue, job_ids)

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Return what a job waits for and belongs to."""
        self._scope.check_queue(queue)
        return await self._whole.details(queue, job_id)

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Return dead jobs."""
        self._scope.check_queue(queue)
        return await self._whole.list_dead(queue, after, limit)

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Return a page of the jobs in a state."""
        self._scope.check_queue(queue)
        return await self._whole.list_jobs(queue, state, after, limit)

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Return the results of what the job comes after."""
        self._scope.check_queue(queue)
        return await self._whole.results_before(queue, job_id)

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Return a batch."""
        self._scope.check_queue(queue)
        return await self._whole.find_batch(queue, batch_id)

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Return the batches of a queue."""
        self._scope.check_queue(queue)
        return await self._whole.list_batches(queue, after, limit)

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Return jobs of a batch."""
        self._scope.check_queue(queue)
        return await self._whole.batch_jobs(queue, batch_id, after, limit, pending=pending)

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead jobs ready."""
        self._scope.check_queue(queue)
        return await self._whole.revive(queue, job_ids)

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Remove dead jobs."""
        self._scope.check_queue(queue)
        return await self._whole.purge(queue, job_ids)

    async def count(self, queue: str) -> QueueCounts:
        """Count the queue's jobs."""
        self._scope.check_queue(queue)
        return await self._whole.count(queue)

    async def queues(self) -> list[str]:
        """Return the names of those queues that are in the scope."""
        return [name for name in await self._whole.queues() if self._scope.queues.allow(name)]

    async def confirm(self, queue: str) -> None:
        """Return once what was written to the queue is safe."""
        self._scope.check_queue(queue)
        await self._whole.confirm(queue)


class ScopedSchedules:
    """The periodic jobs of a scope's queues."""

    def __init__(self, whole: ScheduleBackend, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope

    async def put(self, schedule: PutSchedule) -> None:
        """Make or replace a schedule."""
        self._scope.check_queue(schedule.queue)
        await self._whole.put(schedule)

    async def remove(self, queue: str, name: str) -> bool:
        """Remove a schedule."""
        self._scope.check_queue(queue)
        return await self._whole.remove(queue, name)

    async def read(self, queue: str) -> Schedules:
        """Return all schedules of a queue."""
        self._scope.check_queue(queue)
        return await self._whole.read(queue)

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Let a schedule begin now that is far ahead."""
        self._scope.check_queue(queue)
        return await self._whole.restart(queue, record, ahead_ms)

    async def fire(self, fire: Fire) -> bool:
        """Put what is due."""
        self._scope.check_queue(fire.queue)
        return await self._whole.fire(fire)


class ScopedLimits:
    """The limits of a scope's queues."""

    def __init__(self, whole: LimitBackend, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Set a limit, or take it away."""
        self._scope.check_queue(queue)
        await self._whole.put(queue, limit)

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Return the limits of a queue."""
        self._scope.check_queue(queue)
        return await self._whole.read(queue)


class ScopedLeases:
    """The leases of a scope."""

    def __init__(self, whole: LeaseBackend, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Give the lease to ``holder`` if nobody holds it."""
        self._scope.check_lease(name)
        return await self._whole.acquire(name, holder, ttl_ms)

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Let the lease end later."""
        self._scope.check_fence(fence)
        return await self._whole.renew(fence, ttl_ms)

    async def release(self, fence: Fence) -> bool:
        """End the lease."""
        self._scope.check_fence(fence)
        return await self._whole.release(fence)

    async def look(self, name: str) -> Tenure | None:
        """Return who holds the lease."""
        self._scope.check_lease(name)
        return await self._whole.look(name)

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Return the held leases that are in the scope."""
        found: list[tuple[str, Tenure]] = []
        while len(found) < limit:
            page = await self._whole.list_held(after, limit)
            found += [each for each in page if self._scope.leases.allow(each[0])]
            if len(page) < limit:
                break
            after = page[-1][0]
        return found[:limit]
