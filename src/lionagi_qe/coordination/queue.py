"""A work queue that agents share: at least once, in order of priority, with leases."""

from __future__ import annotations

import asyncio
import math
import time
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lionagi_qe.coordination.backoff import Backoff, exponential
from lionagi_qe.coordination.consumer import Consumer, give_back, handle
from lionagi_qe.coordination.job import Job
from lionagi_qe.coordination.job_details import JobDetails, job_details
from lionagi_qe.coordination.payloads import P, PayloadReader
from lionagi_qe.coordination.putting import PuttingQueue
from lionagi_qe.coordination.queue_state import DEFAULT_MAX_ATTEMPTS, DEFAULT_RESULT_TTL
from lionagi_qe.coordination.undoing import or_undo
from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.values.entry import check_count, check_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from signal import Signals

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.contract.jobs import Claim, ClaimedJob

T = TypeVar("T")
MAX_CLAIM = 1_000
DEFAULT_LEASE_TTL = 30.0
DEFAULT_GRACE = 30.0
# Without a notifier to wait for, look again after 10 ms, then ever more rarely. With one, look now
# and then all the same: a message may be lost with a connection that nobody noticed was gone.
_FIRST_POLL = 0.01
_LONGEST_POLL = 0.25
_SAFETY_POLL = 2.0


class WorkQueue(PuttingQueue, Generic[P]):
    """Jobs for whoever asks first; each is done at least once.

    ::

        queue = WorkQueue(memory, "reviews")
        job_id = await queue.put({"file": "a.py"}, priority=5)

        async for job in queue.consume(concurrency=4):     # in a worker
            ...
            await job.ack(result)

    The lowest priority number comes first, then the oldest; among workers that claim at the same
    moment this holds roughly. Jobs put with a ``limit_key`` take turns by key, see ``limit``. A
    worker holds a job by a lease: if it dies, the job goes to another once that has ended. The
    server's clock decides. On Redis Cluster a queue lies in one shard, that of the entries whose
    keys begin like its name (see ``colocate`` of RedisMemory).

    Args:
        memory: where the queue lives; all who share it use the same fleet.
        name: any text of at most 128 bytes.
        max_attempts: how often a job put through this object is tried before it is dead.
        backoff: seconds to wait after a failed attempt, by its number.
        result_ttl: seconds that a done job and its result, or a cancelled job, are kept.
        payload_type: what ``payload`` is of jobs that this object hands out: a dataclass, a
            pydantic model, anything that pydantic validates; None for JSON data as they are. A job
            whose payload doesn't fit is not handed out: its attempt fails by an InvalidValueError.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        memory: Memory,
        name: str,
        *,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        backoff: Backoff | None = None,
        result_ttl: float = DEFAULT_RESULT_TTL,
        payload_type: type[P] | None = None,
    ) -> None:
        super().__init__(memory, name, max_attempts=max_attempts, result_ttl=result_ttl)
        self._backoff = backoff or exponential()
        self._payloads = PayloadReader(payload_type)
        self._consumers: set[Consumer] = set()

    # Looking

    async def details(self, job_id: str) -> JobDetails | None:
        """Return how a job stands, what it waits for, and what it belongs to; None as ``status``.

        Two round trips beside each other; one more for the name of a job's schedule.
        """
        status, found = await asyncio.gather(
            self.status(job_id), self._calls.details(self.name, job_id)
        )
        if status is None or found is None:
            return None
        return job_details(status, found, await self._schedules.whose(job_id))

    # Working

    @renamed(n="limit", lease="lease_ttl")
    async def claim(
        self,
        limit: int = 1,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        wait: float = 0.0,
        *,
        timeout: float | None = None,
    ) -> list[Job[P]]:
        """Claim up to ``limit`` ready jobs for ``lease_ttl`` seconds; [] if there is none.

        Waits up to ``wait`` seconds for the first one, without a round trip meanwhile where the
        server can tell that a job was put. ``timeout``: seconds for each round trip.
        """
        check_count("limit", limit, MAX_CLAIM)
        if wait:
            check_seconds("wait", wait)
        end = asyncio.get_running_loop().time() + wait
        lease_ms = math.ceil(check_seconds("lease_ttl", lease_ttl) * 1000)
        return await self._claim(limit, lease_ms, end, lambda: True, timeout)

    async def _claim(
        self,
        limit: int,
        lease_ms: int,
        end: float,
        go_on: Callable[[], bool],
        timeout: float | None,
    ) -> list[Job[P]]:
        loop = asyncio.get_running_loop()
        notifier = self._calls.notifier
        poll = _FIRST_POLL
        while True:
            told = end > loop.time() and await self._calls.listen(self.name, timeout=timeout)
            since, began = notifier.count(self.name), time.perf_counter()
            claim = await or_undo(
                self._calls.claim(self.name, limit, lease_ms, timeout=timeout), self._give_back
            )
            if not self._traces.silent:
                self._traces.received(claim.jobs, began)
            jobs, misfits = self._read(claim)
            if misfits:
                await or_undo(_reject(misfits), lambda _, jobs=jobs: give_back(jobs))
            left = end - loop.time()
            if jobs or not go_on() or (left <= 0 and not misfits):
                return jobs
            if misfits:
                # There may be others behind them.
                continue
            pause = min(left, _SAFETY_POLL if told else poll)
            if claim.due_ms is not None:
                # A millisecond more, so that it is surely due then; and no hurry where it is due
                # already, but in the hands of another who is just claiming it.
                pause = min(pause, max((claim.due_ms + 1) / 1000, _FIRST_POLL))
            notified = await notifier.wait(self.name, since, pause)
            poll = _FIRST_POLL if notified else min(poll * 1.5, _LONGEST_POLL)
            if not go_on():
                return []

    def _read(self, claim: Claim) -> tuple[list[Job[P]], list[tuple[Job, InvalidValueError]]]:
        """Return the jobs whose payloads fit, and the others, each with what is wrong."""
        fitting: list[Job[P]] = []
        misfits: list[tuple[Job, InvalidValueError]] = []
        for claimed in claim.jobs:
            try:
                fitting.append(self._job(claimed, self._payloads.read(claimed.payload)))
            except InvalidValueError as error:
                misfits.append((self._job(claimed, None), error))
        return fitting, misfits

    def _job(self, claimed: ClaimedJob, payload: T) -> Job[T]:
        return Job(
            self._calls,
            self.name,
            claimed,
            payload,
            backoff=self._backoff,
            result_ttl_ms=self._result_ttl_ms,
            traces=self._traces,
        )

    async def _give_back(self, claim: Claim) -> None:
        await give_back(self._job(claimed, None) for claimed in claim.jobs)

    @renamed(lease="lease_ttl")
    async def consume(
        self,
        concurrency: int = 1,
        *,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        signals: Iterable[Signals] = (),
        grace: float = DEFAULT_GRACE,
    ) -> AsyncGenerator[Job[P]]:
        """Yield jobs as they come, until ``stop`` is called.

        At most ``concurrency`` jobs are in your hands at once: each counts until it is ended
        (``ack``, ``fail``, ``release``) or lost, and its lease is extended for as long. Start a
        task for each to work at several. While the server can't be reached it waits. Meanwhile the
        queue's schedules are seen to as well.

        Args:
            concurrency: most jobs at once.
            lease_ttl: seconds after which the jobs of a worker that died go to others.
            signals: stop on these, for example ``[signal.SIGTERM]``; the event loop's handlers of
                them are replaced as long as the iteration lasts.
            grace: seconds that jobs in hand may take after the stop. Those not handed out yet go
                back at once, these after that time.

        """
        check_count("concurrency", concurrency, MAX_CLAIM)
        lease_ms = math.ceil(check_seconds("lease_ttl", lease_ttl) * 1000)
        notifier = self._calls.notifier
        consumer = Consumer(
            lambda limit, go_on: self._claim(limit, lease_ms, math.inf, go_on, None),
            lambda: notifier.notify(self.name),
            concurrency=concurrency,
            lease_ttl=lease_ttl,
            grace=check_seconds("grace", grace),
        )
        self._consumers.add(consumer)
        jobs = consumer.jobs(signals)
        firing = asyncio.create_task(
            self._schedules.keep_firing(), name=f"schedules of {self.name}"
        )
        try:
            async for job in jobs:
                yield job
        finally:
            self._consumers.discard(consumer)
            firing.cancel()
            await asyncio.wait([firing])
            await jobs.aclose()

    @renamed(lease="lease_ttl")
    async def work(  # noqa: PLR0913 - keyword-only but for the first two
        self,
        handler: Callable[[Job[P]], Awaitable[Any]],
        concurrency: int = 1,
        *,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        signals: Iterable[Signals] = (SIGTERM, SIGINT),
        grace: float = DEFAULT_GRACE,
        job_timeout: float | None = None,
    ) -> None:
        """Do jobs by ``handler(job)``, each in a task of its own, until stopped.

        What the handler returns is the result; what it raises is the job's error, and the job is
        tried again by the queue's rules. It may end the job itself, too. It is cancelled when the
        job is lost, and after ``job_timeout`` seconds (None: no limit), which fails the attempt.
        See ``consume`` for the rest.

        A handler that blocks keeps leases from being extended, so that its job goes to another
        worker meanwhile: have it ``await asyncio.to_thread(...)``. A thread can't be cancelled: it
        goes on when the job was, unless it looks at ``job.cancelling`` and ``job.lost``.
        """
        if job_timeout is not None:
            check_seconds("job_timeout", job_timeout)
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for job in self.consume(
                concurrency, lease_ttl=lease_ttl, signals=signals, grace=grace
            ):
                task = asyncio.create_task(handle(job, handler, job_timeout), name=repr(job))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if tasks:
                # Their jobs have ended; let them clean up.
                await asyncio.wait(tasks, timeout=grace)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End all ``consume`` and ``work`` of this object, gracefully."""
        for consumer in self._consumers:
            consumer.stop()


async def _reject(misfits: Iterable[tuple[Job, InvalidValueError]]) -> None:
    await asyncio.gather(*(job.reject(error) for job, error in misfits))
