"""Between the memory's API and a backend: life cycle, flights, deadlines, self-cleaning."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    MemoryClosedError,
    WrongEventLoopError,
)
from lionagi_qe.persistence.contract.jobs import Step, StepResults, job_key
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.scheduling.channels import Lanes
from lionagi_qe.persistence.scheduling.direct import Unbatched
from lionagi_qe.persistence.scheduling.retry import repeat_until_known
from lionagi_qe.persistence.scheduling.scheduler import Batcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.change_log import ChangeLog
    from lionagi_qe.persistence.contract.jobs import JobBackend, JobOperation
    from lionagi_qe.persistence.contract.leases import LeaseBackend
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.scheduling.batch import Lane

T = TypeVar("T")
CLEAR_BATCH = 1_000
SWEEP_BATCH = 1_000

_log = logging.getLogger(__name__)
_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - one number a process, changed only by a fork
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class Dispatcher:
    """Opens the backend once, sends the calls in flights, sweeps, and closes it all."""

    def __init__(
        self,
        backend: Backend,
        fleet: str,
        *,
        migrate: bool,
        timeout: float,
        cleanup_interval: float | None,
    ) -> None:
        self.backend = backend
        self._fleet = fleet
        self._migrate = migrate
        self._timeout = timeout
        self._cleanup_interval = cleanup_interval
        self._forks = _forks
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._opening: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batcher: Batcher | None = None
        self._unbatched = Unbatched()
        self._sweeper: asyncio.Task[None] | None = None
        self._written: asyncio.Event | None = None
        # The loop's clock, by which deadlines are.
        self.time: Callable[[], float] = _time_of_running_loop
        self.lanes = Lanes(backend, jobs=lambda: self.jobs, wrote=self.wake)

    # Life

    async def open(self) -> None:
        """Open the backend unless it is open."""
        await self._ready(get_running_loop().time() + self._timeout)

    async def close(self) -> None:
        """Refuse new calls, let those under way end, stop the sweeper, close the backend.

        Goes on by itself where its caller is cancelled.
        """
        if self._forks != _forks:
            # A parent's connections stay the parent's.
            return
        while (closing := self._closing) is None or not closing.done() or closing.cancelled():
            if self._batcher is not None or (self._opening is not None and self._opening.locked()):
                _check_loop(self._loop)
            if closing is None or closing.cancelled():
                self._closed = True
                closing = self._closing = asyncio.create_task(self._close())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                # Somebody may have cancelled the closing and not us: then it is done again.
                if not closing.cancelled() or (task is not None and task.cancelling()):
                    raise

    async def _close(self) -> None:
        if self._opening is not None:
            # Whoever opens it right now closes what it opened.
            async with self._opening:
                pass
        if self._batcher is None:
            return
        try:
            if self._sweeper is not None:
                self._sweeper.cancel()
                # Waited for, not awaited: a cancellation of ours must not pass for its own.
                await asyncio.wait([self._sweeper])
            await self._batcher.close()
            await self._unbatched.close()
        finally:
            await self.backend.close()

    async def _ready(self, deadline: float) -> Batcher:
        batcher = self._batcher
        if batcher is None or self._closed or self._forks != _forks:
            return await self._open(deadline)
        _check_loop(batcher.loop)
        return batcher

    async def _open(self, deadline: float) -> Batcher:
        if self._forks != _forks:
            msg = "this memory was made before a fork; make a new one in the child process"
            raise MemoryClosedError(msg)
        if self._closed:
            raise _closed_error()
        if self._opening is None:
            self._opening = asyncio.Lock()
        if self._batcher is None:
            self._loop = get_running_loop()
        try:
            async with asyncio.timeout_at(deadline), self._opening:
                if self._batcher is None:
                    await self._connect()
        except TimeoutError as error:
            if isinstance(error, AqeError):
                raise
            name = self.backend.capabilities.name.removeprefix("hybrid-")
            msg = (
                f"no {name} server answered in time while opening; check its address, that such a "
                "server is up there (with TLS if the URL says so), and timeout"
            )
            raise BackendTimeoutError(msg) from error
        return cast("Batcher", self._batcher)

    async def _connect(self) -> None:
        if self._closed:
            raise _closed_error()
        try:
            # Tried once: an address where nobody answers is most often a wrong one.
            await self.backend.open(self._fleet, migrate=self._migrate)
        except BaseException:
            await self.backend.close()
            raise
        if self._closed:
            await self.backend.close()
            raise _closed_error()
        self._batcher = Batcher()
        self.time = self._batcher.loop.time
        if self._cleanup_interval is not None:
            self._sweeper = asyncio.create_task(self._sweep_now_and_then())

    # Calls of one key, batched

    # What these return is to be awaited at once: a coroutine less on the way of each call.

    def write(self, operation: Operation, deadline: float) -> Awaitable[Any]:
        """Send one operation once there is room for it."""
        size = len(operation.payload) if type(operation) is Put else 0
        return self._send(self.lanes.writes, operation, operation.key, deadline, size)

    def read_payload(self, key: str, deadline: float) -> Awaitable[bytes | str | None]:
        """Read one live value."""
        return self._send(self.lanes.payloads, key, key, deadline)

    def read_record(self, key: str, deadline: float) -> Awaitable[Record | None]:
        """Read one live entry."""
        return self._send(self.lanes.records, key, key, deadline)

    def write_job(self, operation: JobOperation, deadline: float) -> Awaitable[str]:
        """Send one operation on a job."""
        size = len(operation.payload)
        return self._send(self.lanes.jobs, operation, job_key(operation), deadline, size)

    def _send(
        self, lane: Lane, item: object, key: str, deadline: float, size: int = 0
    ) -> Awaitable[Any]:
        batcher = self.admitted()
        if batcher is None:
            return self._send_later(lane, item, key, deadline, size)
        return batcher.submit(lane, item, key, deadline, size)

    async def _send_later(
        self, lane: Lane, item: object, key: str, deadline: float, size: int
    ) -> Any:  # noqa: ANN401
        batcher = await self.admission(deadline)
        return await batcher.submit(lane, item, key, deadline, size)

    # For a call that submits by itself: its value is encoded only when there is room for it, or one
    # step less counts

    def admitted(self) -> Batcher | None:
        """Take a place for a call if the memory is open and one is free; None if not."""
        batcher = self._batcher
        if (
            batcher is not None
            and not self._closed
            and self._forks == _forks
            and batcher.loop is get_running_loop()
            and batcher.room.take()
        ):
            return batcher
        return None

    async def admission(self, deadline: float) -> Batcher:
        """Open the memory if need be, and take a place when it is our turn."""
        batcher = await self._ready(deadline)
        await batcher.admit(deadline)
        return batcher

    # Batches, in flights of their own

    async def write_batch(
        self,
        operations: Sequence[Operation],
        size: int,
        deadline: float,
    ) -> list[Any]:
        """Apply operations on distinct keys, all or nothing."""
        if not operations:
            return []
        batcher = await self.admission(deadline)
        keys = [operation.key for operation in operations]
        return await batcher.submit_batch(self.lanes.writes, operations, keys, deadline, size)

    async def write_jobs(self, operations: Sequence[JobOperation], deadline: float) -> list[Any]:
        """Send operations on distinct jobs together; each comes to a result or an error."""
        batcher = await self.admission(deadline)
        keys = [job_key(operation) for operation in operations]
        return await batcher.submit_batch(self.lanes.jobs, operations, keys, deadline)

    async def transact(self, step: Step, size: int, deadline: float) -> StepResults:
        """Apply operations on distinct entries and jobs, all or nothing."""
        batcher = await self.admission(deadline)
        keys = [operation.key for operation in step.operations] + [*map(job_key, step.jobs)]
        return await batcher.submit_batch(self.lanes.writes, step, keys, deadline, size)

    async def read_batch(self, keys: Sequence[str], deadline: float) -> list[bytes | str | None]:
        """Read live values of distinct keys."""
        if not keys:
            return []
        batcher = await self.admission(deadline)
        return await batcher.submit_batch(self.lanes.payloads, keys, keys, deadline)

    # Ranges and the whole fleet, straight to the backend

    async def ask(self, question: Callable[[Backend], Awaitable[T]], deadline: float) -> T:
        """Return what the backend answers; for questions that change nothing."""
        await self._ready(deadline)
        return await self._unbatched.call(lambda: question(self.backend), deadline)

    async def clear_partition(self, partition: str, deadline: float) -> int:
        """Delete what the partition holds now."""
        await self._ready(deadline)
        return await self._unbatched.call(
            lambda: self.backend.clear_partition(partition, CLEAR_BATCH), deadline, mutates=True
        )

    async def sweep(self, deadline: float) -> int:
        """Remove all that has expired, batch by batch."""
        await self._ready(deadline)
        expired, more = 0, True
        while more:
            step = await self._unbatched.call(
                lambda: self.backend.sweep(SWEEP_BATCH), deadline, mutates=True
            )
            expired += step.expired
            more = step.more
        return expired

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
    def log(self) -> ChangeLog:
        """The backend's changes; ConfigurationError if it keeps none."""
        return self._offered("log")

    def _offered(self, name: str) -> Any:  # noqa: ANN401 - an optional part of the backend
        part = getattr(self.backend, name, None)
        if part is None:
            kind = self.backend.capabilities.name
            msg = f"the backend {kind!r} has no {name}; use SQLite, PostgreSQL or Redis"
            raise ConfigurationError(msg)
        return part

    @property
    def written(self) -> asyncio.Event:
        """Set when a write through this handle has ended; the next one has another event."""
        if self._written is None:
            self._written = asyncio.Event()
        return self._written

    def wake(self) -> None:
        """Set ``written``, for those who wait for changes."""
        if self._written is not None:
            self._written.set()
            self._written = None

    async def perform(
        self, action: Callable[[], Awaitable[T]], deadline: float, *, repeat: bool = False
    ) -> T:
        """Do an action of the backend's; with ``repeat`` again when only its answer was lost."""
        await self._ready(deadline)

        def call() -> Awaitable[T]:
            return self._unbatched.call(action, deadline, mutates=True)

        return await (repeat_until_known(call, deadline) if repeat else call())

    async def _sweep_now_and_then(self) -> None:
        interval = self._cleanup_interval or 0.0
        while True:
            # Members that started together must not all knock at the same moment.
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                deadline = get_running_loop().time() + self._timeout
                if await self._unbatched.call(
                    lambda: self.backend.claim_sweep(int(interval * 1000)), deadline
                ):
                    await self.sweep(deadline)
            except BackendUnavailableError as error:
                _log.warning("sweep of fleet %r put off: %s", self._fleet, error)
            except AqeError:
                _log.exception("sweep of fleet %r failed", self._fleet)


def _time_of_running_loop() -> float:
    return get_running_loop().time()


def _closed_error() -> MemoryClosedError:
    return MemoryClosedError("this memory is closed; make a new one with open_memory(url)")


def _check_loop(ours: asyncio.AbstractEventLoop | None) -> None:
    if ours is not None and ours is not get_running_loop():
        msg = (
            "this memory was opened on another event loop; open and use it inside one "
            "asyncio.run(), or make one memory for each loop"
        )
        raise WrongEventLoopError(msg)
