"""The one way from a scoped memory's calls to the memory that it is a part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from lionagi_qe.errors import MemoryClosedError
from lionagi_qe.persistence.scheduling.scheduler import CLEAR_BATCH
from lionagi_qe.persistence.scopes.backend import ScopedBackend
from lionagi_qe.persistence.scopes.coordination import (
    ScopedJobs,
    ScopedLeases,
    ScopedLimits,
    ScopedSchedules,
)
from lionagi_qe.persistence.scopes.log import ScopedLog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.change_log import ChangeLog
    from lionagi_qe.persistence.contract.indexes import IndexBackend
    from lionagi_qe.persistence.contract.jobs import (
        JobBackend,
        JobOperation,
        TransactionOperations,
        TransactionResults,
    )
    from lionagi_qe.persistence.contract.leases import LeaseBackend
    from lionagi_qe.persistence.contract.limits import LimitBackend
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.contract.schedules import ScheduleBackend
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler
    from lionagi_qe.persistence.scopes.scope import Scope

T = TypeVar("T")
_Arguments = TypeVarTuple("_Arguments")


class ScopedScheduler:
    """A Scheduler that hands on what its scope allows, and refuses the rest before it is sent.

    Every call of a memory passes its scheduler, and reaches a backend's parts through it alone. So
    this is where a scope holds: whatever Scheduler can do that is not written here can't be done
    in a scope. It is no subclass for that reason.

    Args:
        whole: the scheduler of the memory, or of the scope, that this is a part of.
        scope: what is allowed.
    """

    def __init__(self, whole: Scheduler, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope
        self._closed = False
        self.backend: Backend = ScopedBackend(whole.backend, scope, self._clock)
        self.timeout = whole.timeout

    def _clock(self) -> Awaitable[int]:
        return self._whole.log.clock()

    @property
    def state(self) -> str:
        """Whether the scope and its memory are open, for people."""
        return "closed" if self._closed else self._whole.state

    def deadline(self, timeout: float | None) -> float:
        """Return when a call that begins now ends; None: after the memory's own timeout."""
        return self._whole.deadline(timeout)

    async def open(self) -> None:
        """Open the memory that this is a part of, unless it is open."""
        await self._opened().open()

    async def close(self) -> None:
        """Refuse calls in this scope from now on; the memory stays open."""
        self._closed = True

    def _opened(self) -> Scheduler:
        if self._closed:
            msg = f"the scope {self._scope.name!r} is closed; make a new one with memory.scoped()"
            raise MemoryClosedError(msg)
        return self._whole

    # Calls of one key

    def write(
        self,
        key: str,
        encode: Callable[[*_Arguments], Operation],
        deadline: float,
        *arguments: *_Arguments,
    ) -> Awaitable[Any]:
        """Apply what ``encode(*arguments)`` returns, an operation on this key."""
        self._scope.check_write(key)

        def checked(*arguments: *_Arguments) -> Operation:
            operation = encode(*arguments)
            self._scope.check_operation(operation)
            return operation

        return self._opened().write(key, checked, deadline, *arguments)

    def read(self, key: str, deadline: float) -> Awaitable[bytes | str | None]:
        """Read one live value."""
        self._scope.check_read(key)
        return self._opened().read(key, deadline)

    def read_record(self, key: str, deadline: float) -> Awaitable[Record | None]:
        """Read one live entry."""
        self._scope.check_read(key)
        return self._opened().read_record(key, deadline)

    def write_job(self, operation: JobOperation, deadline: float) -> Awaitable[str]:
        """Apply one operation on a job."""
        self._scope.check_jobs([operation])
        return self._opened().write_job(operation, deadline)

    # Calls of several keys

    async def write_batch(
        self, operations: Sequence[Operation], size: int, deadline: float
    ) -> list[Any]:
        """Apply operations on distinct keys, all or nothing."""
        self._scope.check_operations(operations)
        return await self._opened().write_batch(operations, size, deadline)

    async def write_jobs(self, operations: Sequence[JobOperation], deadline: float) -> list[Any]:
        """Apply operations on distinct jobs together; each comes to a result or an error."""
        self._scope.check_jobs(operations)
        return await self._opened().write_jobs(operations, deadline)

    async def transact(
        self, step: TransactionOperations, size: int, deadline: float
    ) -> TransactionResults:
        """Apply operations on distinct entries and jobs, all or nothing."""
        self._scope.check_operations(step.operations)
        self._scope.check_jobs(step.jobs)
        return await self._opened().transact(step, size, deadline)

    async def read_batch(self, keys: Sequence[str], deadline: float) -> list[bytes | str | None]:
        """Read live values of distinct keys."""
        self._scope.check_reads(keys)
        return await self._opened().read_batch(keys, deadline)

    # Ranges, and what is asked of the backend's parts: these are the scope's own

    async def ask(
        self, question: Callable[[Backend], Awaitable[T]], deadline: float, call: str = ""
    ) -> T:
        """Return what the scope's backend answers; for questions that change nothing."""
        return await self._opened().ask(lambda _: question(self.backend), deadline, call)

    async def perform(
        self, action: Callable[[], Awaitable[T]], deadline: float, *, repeat: bool = False
    ) -> T:
        """Do an action of the scope's backend or its parts."""
        return await self._opened().perform(action, deadline, repeat=repeat)

    async def clear_partition(self, partition: str, deadline: float) -> int:
        """Delete what the partition holds now of what may be written."""
        return await self.perform(
            lambda: self.backend.clear_partition(partition, CLEAR_BATCH), deadline
        )

    async def sweep(self, deadline: float) -> int:
        """Refuse: what has expired is swept for the whole fleet."""
        del deadline
        raise self._scope.refusal("sweeping, which is the whole fleet's,")

    @property
    def leases(self) -> LeaseBackend:
        """The leases of the scope."""
        return ScopedLeases(self._whole.leases, self._scope)

    @property
    def jobs(self) -> JobBackend:
        """The work queues of the scope."""
        return ScopedJobs(self._whole.jobs, self._scope)

    @property
    def schedules(self) -> ScheduleBackend:
        """The periodic jobs of the scope's queues."""
        return ScopedSchedules(self._whole.schedules, self._scope)

    @property
    def limits(self) -> LimitBackend:
        """The limits of the scope's queues."""
        return ScopedLimits(self._whole.limits, self._scope)

    @property
    def log(self) -> ChangeLog:
        """The changes within the scope."""
        return ScopedLog(self._whole.log, self._scope)

    @property
    def indexes(self) -> IndexBackend:
        """Refused: what an index reads is only known by its pattern; see ``for_index``."""
        raise self._scope.refusal("indexes as such")

    def for_index(self, pattern: str) -> Scheduler:
        """Return what an index over these keys may use: the memory's own, if all may be read."""
        whole = self._opened()
        if not self._scope.readable.cover(pattern):
            raise self._scope.refusal(f"an index over {pattern!r}")
        return whole.for_index(pattern)

    @property
    def written(self) -> asyncio.Event:
        """Set when the next write to the memory has ended, however it did."""
        return self._whole.written
