"""The one way from a memory's calls to its backend."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, TypeVarTuple

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.contract.jobs import TransactionOperations, TransactionResults, job_key
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.scheduling.batcher import Batcher
from lionagi_qe.persistence.scheduling.channels import Channels
from lionagi_qe.persistence.scheduling.lifecycle import Lifecycle
from lionagi_qe.persistence.scheduling.retry import repeat_until_known
from lionagi_qe.persistence.values.entry import check_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Unpack

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.change_log import ChangeLog
    from lionagi_qe.persistence.contract.indexes import IndexBackend
    from lionagi_qe.persistence.contract.jobs import JobBackend, JobOperation
    from lionagi_qe.persistence.contract.leases import LeaseBackend
    from lionagi_qe.persistence.contract.limits import LimitBackend
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.contract.schedules import ScheduleBackend
    from lionagi_qe.persistence.scheduling.batch import Channel

T = TypeVar("T")
_Arguments = TypeVarTuple("_Arguments")
CLEAR_BATCH = 1_000


class Life(TypedDict):
    """How a backend is opened, and what is done while it is open."""

    migrate: bool
    timeout: float
    cleanup_interval: float | None


class Scheduler:
    """Carries calls to a backend: each by its deadline, those of one key in their order.

    Every ``deadline`` is a time of the running loop's clock. Calls that find the memory unopened
    open it; all raise MemoryClosedError once it is closed, and BackendUnavailableError when no
    answer came in time.

    What the calls of one key return is to be awaited at once: it is no coroutine more than needed.
    """

    def __init__(
        self,
        backend: Backend,
        fleet: str,
        *,
        batcher: Callable[[], Batcher] = Batcher,
        **life: Unpack[Life],
    ) -> None:
        self.backend = backend
        self.timeout = life["timeout"]
        self._lifecycle = Lifecycle(backend, fleet, make_batcher=batcher, **life)
        channels = Channels(backend, jobs=lambda: self.jobs)
        self._writes, self._jobs = channels.writes, channels.jobs
        self._payloads, self._records = channels.payloads, channels.records

    @property
    def state(self) -> str:
        """Whether the memory is open, for people."""
        return self._lifecycle.state

    def deadline(self, timeout: float | None) -> float:
        """Return when a call that begins now ends; None: after the memory's own timeout."""
        seconds = self.timeout if timeout is None else check_seconds("timeout", timeout)
        return get_running_loop().time() + seconds

    async def open(self) -> None:
        """Open the backend unless it is open."""
        await self._lifecycle.ready(self.deadline(None))

    async def close(self) -> None:
        """Refuse new calls, let those under way end, close the backend."""
        await self._lifecycle.close()

    # Calls of one key, batched. Each is on the way of every call: what could be one method of them
    # is written out.

    def write(
        self,
        key: str,
        encode: Callable[[*_Arguments], Operation],
        deadline: float,
        *arguments: *_Arguments,
    ) -> Awaitable[Any]:
        """Apply what ``encode(*arguments)`` returns, an operation on this key.

        It is called once the call is admitted, so that no more values than those are encoded.
        """
        batcher = self._lifecycle.batcher
        if batcher is None or batcher.loop is not get_running_loop() or not batcher.limiter.free:
            return self._write_later(key, encode, deadline, *arguments)
        batcher.limiter.free -= 1
        try:
            operation = encode(*arguments)
        except BaseException:
            batcher.limiter.release()
            raise
        size = len(operation.payload) if type(operation) is Put else 0
        return batcher.submit(self._writes, operation, key, deadline, size)

    async def _write_later(
        self,
        key: str,
        encode: Callable[[*_Arguments], Operation],
        deadline: float,
        *arguments: *_Arguments,
    ) -> Any:  # noqa: ANN401
        batcher = await self._admission(deadline)
        try:
            operation = encode(*arguments)
        except BaseException:
            batcher.limiter.release()
            raise
        size = len(operation.payload) if type(operation) is Put else 0
        return await batcher.submit(self._writes, operation, key, deadline, size)

    def read(self, key: str, deadline: float) -> Awaitable[bytes | str | None]:
        """Read one live value."""
        batcher = self._lifecycle.batcher
        if batcher is None or batcher.loop is not get_running_loop() or not batcher.limiter.free:
            return self._send_later(self._payloads, key, key, deadline)
        batcher.limiter.free -= 1
        return batcher.submit(self._payloads, key, key, deadline)

    def read_record(self, key: str, deadline: float) -> Awaitable[Record | None]:
        """Read one live entry."""
        return self._send(self._records, key, key, deadline)

    def write_job(self, operation: JobOperation, deadline: float) -> Awaitable[str]:
        """Apply one operation on a job."""
        size = len(operation.payload)
        return self._send(self._jobs, operation, job_key(operation), deadline, size)

    def _send(
        self, channel: Channel, item: object, key: str, deadline: float, size: int = 0
    ) -> Awaitable[Any]:
        batcher = self._lifecycle.batcher
        if batcher is None or batcher.loop is not get_running_loop() or not batcher.limiter.free:
            return self._send_later(channel, item, key, deadline, size)
        batcher.limiter.free -= 1
        return batcher.submit(channel, item, key, deadline, size)

    async def _send_later(
        self, channel: Channel, item: object, key: str, deadline: float, size: int = 0
    ) -> Any:  # noqa: ANN401
        batcher = await self._admission(deadline)
        return await batcher.submit(channel, item, key, deadline, size)

    async def _admission(self, deadline: float) -> Batcher:
        """Open the memory if need be, and take a place when it is our turn."""
        batcher = await self._lifecycle.ready(deadline)
        await batcher.admit(deadline)
        return batcher

    # Calls of several keys, each a batch of its own

    async def write_batch(
        self, operations: Sequence[Operation], size: int, deadline: float
    ) -> list[Any]:
        """Apply operations on distinct keys, all or nothing."""
        if not operations:
            return []
        keys = [operation.key for operation in operations]
        return await self._send_atomic(self._writes, operations, keys, deadline, size)

    async def write_jobs(self, operations: Sequence[JobOperation], deadline: float) -> list[Any]:
        """Apply operations on distinct jobs together; each comes to a result or an error."""
        keys = [job_key(operation) for operation in operations]
        return await self._send_atomic(self._jobs, operations, keys, deadline)

    async def transact(
        self, step: TransactionOperations, size: int, deadline: float
    ) -> TransactionResults:
        """Apply operations on distinct entries and jobs, all or nothing."""
        keys = [operation.key for operation in step.operations] + [*map(job_key, step.jobs)]
        return await self._send_atomic(self._writes, step, keys, deadline, size)

    async def read_batch(self, keys: Sequence[str], deadline: float) -> list[bytes | str | None]:
        """Read live values of distinct keys."""
        if not keys:
            return []
        return await self._send_atomic(self._payloads, keys, keys, deadline)

    async def _send_atomic(
        self,
        channel: Channel,
        item: object,
        keys: Sequence[str],
        deadline: float,
        size: int = 0,
    ) -> Any:  # noqa: ANN401
        batcher = await self._admission(deadline)
        return await batcher.submit_atomic(channel, item, keys, deadline, size)

    # Ranges and the whole fleet, straight to the backend

    async def ask(
        self, question: Callable[[Backend], Awaitable[T]], deadline: float, call: str = ""
    ) -> T:
        """Return what the backend answers; for questions that change nothing.

        ``call`` is what it is called in traces; "" for what isn't shown there.
        """
        del call
        await self._lifecycle.ready(deadline)
        return await self._lifecycle.direct.call(lambda: question(self.backend), deadline)

    async def perform(
        self, action: Callable[[], Awaitable[T]], deadline: float, *, repeat: bool = False
    ) -> T:
        """Do an action of the backend's; with ``repeat`` again when only its answer was lost."""
        await self._lifecycle.ready(deadline)

        def call() -> Awaitable[T]:
            return self._lifecycle.direct.call(action, deadline, mutates=True)

        return await (repeat_until_known(call, deadline) if repeat else call())

    async def clear_partition(self, partition: str, deadline: float) -> int:
        """Delete what the partition holds now."""
        return await self.perform(
            lambda: self.backend.clear_partition(partition, CLEAR_BATCH), deadline
        )

    async def sweep(self, deadline: float) -> int:
        """Remove all that has expired, batch by batch."""
        await self._lifecycle.ready(deadline)
        return await self._lifecycle.sweeper.sweep(deadline)

    # What the backend offers beyond entries

    @property
    def leases(self) -> LeaseBackend:
        """The backend's leases; ConfigurationError if it has none."""
        return self._offered("leases")

    @property
    def jobs(self) -> JobBackend:
        """The backend's work queues; ConfigurationError if it has none."""
        return self._offered("jobs")

    @property
    def schedules(self) -> ScheduleBackend:
        """The backend's periodic jobs; ConfigurationError if it has none."""
        return self._offered("schedules")

    @property
    def limits(self) -> LimitBackend:
        """The limits of the backend's queues; ConfigurationError if it has none."""
        return self._offered("limits")

    @property
    def log(self) -> ChangeLog:
        """The backend's changes; ConfigurationError if it keeps none."""
        return self._offered("log")

    @property
    def indexes(self) -> IndexBackend:
        """The backend's indexes; ConfigurationError if it keeps none, or mustn't."""
        if self.backend.capabilities.encrypted:
            msg = (
                "this memory is encrypted, and an index would keep the words of its values in "
                "clear; search in a memory without keys, or by names: search(), scan()"
            )
            raise ConfigurationError(msg)
        return self._offered("indexes")

    def for_index(self, pattern: str) -> Scheduler:
        """Return what carries the calls of an index over the keys that match a pattern.

        ConfigurationError if the backend keeps no indexes.
        """
        del pattern
        _ = self.indexes
        return self

    def _offered(self, name: str) -> Any:  # noqa: ANN401 - an optional part of the backend
        part = getattr(self.backend, name, None)
        if part is None:
            kind = self.backend.capabilities.name
            msg = f"the backend {kind!r} has no {name}; use SQLite, PostgreSQL or Redis"
            raise ConfigurationError(msg)
        return part

    @property
    def written(self) -> asyncio.Event:
        """Set when the next write through this scheduler has ended, however it did."""
        if self._writes.completed is None:
            self._writes.completed = asyncio.Event()
        return self._writes.completed
