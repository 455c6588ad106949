"""Queues, schedules, limits and leases whose names are hidden; ids of jobs are random anyway."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.persistence.contract.jobs import PutJob, TransactionOperations
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.contract.operations import Fence
from lionagi_qe.persistence.contract.schedules import Schedules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Protocol, TypeVar

    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord, BatchRecord
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.jobs import (
        Claim,
        JobBackend,
        JobOperation,
        JobRecord,
        JobRecordPage,
        JobResult,
        QueueCounts,
        TransactionResults,
    )
    from lionagi_qe.persistence.contract.leases import LeaseBackend, Tenure
    from lionagi_qe.persistence.contract.limits import JobLimit, LimitBackend
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.contract.schedules import (
        Fire,
        PutSchedule,
        ScheduleBackend,
        ScheduleRecord,
    )
    from lionagi_qe.persistence.contract.sealed_texts import (
        ResealableJobs,
        ResealableLeases,
        ResealableSchedules,
        TextExchange,
    )
    from lionagi_qe.persistence.hidden_names.names import Names

    T = TypeVar("T")

    class Answer(Protocol):
        """Awaits a backend's answer, and has its errors name what was asked for."""

        async def __call__(self, call: Awaitable[T]) -> T:
            """Return the answer."""
            ...


def stored_fence(names: Names, fence: Fence) -> Fence:
    """Return a fence with its lease's stored name."""
    return Fence(names.name(fence.name), fence.token)


class HiddenNamesNotifier(Notifier):
    """Tells of queues by their names."""

    def __init__(self, inner: Notifier, names: Names) -> None:
        super().__init__()
        self._inner = inner
        self._names = names

    @property
    def awaited(self) -> list[str]:
        """The queues that somebody waits for."""
        return [self._names.read_name(each) for each in self._inner.awaited]

    def count(self, name: str) -> int:
        """Return how often ``name`` was notified."""
        return self._inner.count(self._names.name(name))

    def notify(self, name: str) -> None:
        """Wake all who wait for ``name``."""
        self._inner.notify(self._names.name(name))

    def notify_all(self) -> None:
        """Wake everybody."""
        self._inner.notify_all()

    async def wait(self, name: str, since: int, seconds: float) -> bool:
        """Wait until there are more than ``since``."""
        return await self._inner.wait(self._names.name(name), since, seconds)


class HiddenNamesJobs:
    """The queues of a backend that stores hidden names."""

    def __init__(
        self,
        inner: JobBackend,
        names: Names,
        answer: Answer,
        stored_operations: Callable[[Sequence[Operation]], list[Operation]],
    ) -> None:
        self._inner = inner
        self._names = names
        self._answer = answer
        self._stored_operations = stored_operations

    @property
    def notifier(self) -> Notifier:
        """The backend's."""
        return HiddenNamesNotifier(self._inner.notifier, self._names)

    async def listen(self, queue: str, /) -> bool:
        """Hear of other processes too."""
        return await self._inner.listen(self._names.name(queue))

    def _stored(self, operations: Sequence[JobOperation]) -> list[JobOperation]:
        names, found = self._names, list[Any]()
        for each in operations:
            fence = None if each.fence is None else stored_fence(names, each.fence)
            changed: dict[str, Any] = {"queue": names.name(each.queue), "fence": fence}
            if isinstance(each, PutJob):
                if each.dedupe is not None:
                    changed["dedupe"] = names.label("dedupe", each.dedupe)
                if each.limit_key is not None:
                    changed["limit_key"] = names.label("limit", each.limit_key)
            found.append(replace(each, **changed))
        return found

    def _record(self, record: JobRecord) -> JobRecord:
        key = record.limit_key
        if key is None:
            return record
        return replace(record, limit_key=self._names.read_label("limit", key))

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Apply the operations under hidden names."""
        return await self._answer(self._inner.write(self._stored(operations)))

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply all of it or nothing."""
        stored = TransactionOperations(
            self._stored_operations(step.operations), self._stored(step.jobs)
        )
        return await self._answer(self._inner.transact(stored))

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Hand out ready jobs."""
        return await self._answer(self._inner.claim(self._names.name(queue), count, lease_ms))

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Return the jobs."""
        found = await self._answer(self._inner.find(self._names.name(queue), job_ids))
        return [None if each is None else self._record(each) for each in found]

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Return dead jobs."""
        found = await self._answer(self._inner.list_dead(self._names.name(queue), after, limit))
        return [*map(self._record, found)]

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Return a page of the jobs in a state; lines are in the order of their stored keys."""
        page = await self._answer(
            self._inner.list_jobs(self._names.name(queue), state, after, limit)
        )
        return replace(
            page, jobs=[replace(each, record=self._record(each.record)) for each in page.jobs]
        )

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Return the results of what the job comes after."""
        return await self._answer(self._inner.results_before(self._names.name(queue), job_id))

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Return a batch."""
        return await self._answer(self._inner.find_batch(self._names.name(queue), batch_id))

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Return the batches of a queue."""
        return await self._answer(self._inner.list_batches(self._names.name(queue), after, limit))

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Return jobs of a batch."""
        stored = self._names.name(queue)
        return await self._answer(
            self._inner.batch_jobs(stored, batch_id, after, limit, pending=pending)
        )

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead jobs ready."""
        return await self._answer(self._inner.revive(self._names.name(queue), job_ids))

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Remove dead jobs."""
        return await self._answer(self._inner.purge(self._names.name(queue), job_ids))

    async def count(self, queue: str) -> QueueCounts:
        """Count the queue's jobs."""
        return await self._answer(self._inner.count(self._names.name(queue)))

    async def queues(self) -> list[str]:
        """Return the names of all queues."""
        return sorted(map(self._names.read_name, await self._answer(self._inner.queues())))

    async def confirm(self, queue: str) -> None:
        """Return once what was written to the queue is safe."""
        await self._answer(self._inner.confirm(self._names.name(queue)))

    # Sealing anew

    async def exchange(self, queue: str, exchanges: Sequence[TextExchange]) -> int:
        """Exchange texts that are as they were read."""
        inner = cast("ResealableJobs", self._inner)
        return await self._answer(inner.exchange(self._names.name(queue), exchanges))

    async def results_kept(
        self, queue: str, job_ids: Sequence[str]
    ) -> list[tuple[str, str, bytes | str]]:
        """Return results that are kept with jobs."""
        inner = cast("ResealableJobs", self._inner)
        return await self._answer(inner.results_kept(self._names.name(queue), job_ids))


class HiddenNamesSchedules:
    """The periodic jobs of a backend that stores hidden names; when they are due lies in clear."""

    def __init__(self, inner: ScheduleBackend, names: Names, answer: Answer) -> None:
        self._inner = inner
        self._names = names
        self._answer = answer

    def _label(self, name: str) -> str:
        return self._names.label("schedule", name)

    def _read(self, record: ScheduleRecord) -> ScheduleRecord:
        return replace(record, name=self._names.read_label("schedule", record.name))

    async def put(self, schedule: PutSchedule) -> None:
        """Make or replace a schedule."""
        queue = self._names.name(schedule.queue)
        stored = replace(schedule, queue=queue, name=self._label(schedule.name))
        await self._answer(self._inner.put(stored))

    async def remove(self, queue: str, name: str) -> bool:
        """Remove a schedule."""
        return await self._answer(self._inner.remove(self._names.name(queue), self._label(name)))

    async def read(self, queue: str) -> Schedules:
        """Return all schedules of a queue."""
        found = await self._answer(self._inner.read(self._names.name(queue)))
        records = sorted(map(self._read, found.records), key=lambda record: record.name)
        return Schedules(found.now_ms, records)

    async def fire(self, fire: Fire) -> bool:
        """Put what is due."""
        dedupe = None if fire.dedupe is None else self._names.label("dedupe", fire.dedupe)
        record = replace(fire.record, name=self._label(fire.record.name))
        stored = replace(fire, queue=self._names.name(fire.queue), record=record, dedupe=dedupe)
        return await self._answer(self._inner.fire(stored))

    async def exchange(self, queue: str, name: str, old: str, new: str) -> bool:
        """Exchange a spec that is as it was read."""
        inner = cast("ResealableSchedules", self._inner)
        stored = self._names.name(queue)
        return await self._answer(inner.exchange(stored, self._label(name), old, new))


class HiddenNamesLimits:
    """The limits of queues whose names are hidden."""

    def __init__(self, inner: LimitBackend, names: Names, answer: Answer) -> None:
        self._inner = inner
        self._names = names
        self._answer = answer

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Set a limit, or take it away."""
        await self._answer(self._inner.put(self._names.name(queue), limit))

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Return the limits of a queue."""
        return await self._answer(self._inner.read(self._names.name(queue)))


class HiddenNamesLeases:
    """The leases of a backend that stores hidden names."""

    def __init__(self, inner: LeaseBackend, names: Names, answer: Answer) -> None:
        self._inner = inner
        self._names = names
        self._answer = answer

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Give the lease to ``holder`` if nobody holds it."""
        return await self._answer(self._inner.acquire(self._names.name(name), holder, ttl_ms))

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Let the lease end later."""
        return await self._answer(self._inner.renew(stored_fence(self._names, fence), ttl_ms))

    async def release(self, fence: Fence) -> bool:
        """End the lease."""
        return await self._answer(self._inner.release(stored_fence(self._names, fence)))

    async def look(self, name: str) -> Tenure | None:
        """Return who holds the lease."""
        return await self._answer(self._inner.look(self._names.name(name)))

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Return the held leases behind ``after``, in the order of their stored names."""
        stored = "" if after == "" else self._names.name(after)
        found = await self._answer(self._inner.list_held(stored, limit))
        return [(self._names.read_name(name), tenure) for name, tenure in found]

    async def exchange(self, name: str, old: str, new: str) -> bool:
        """Exchange the holder of a lease that is held as it was read."""
        inner = cast("ResealableLeases", self._inner)
        return await self._answer(inner.exchange(self._names.name(name), old, new))
