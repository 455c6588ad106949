"""A work queue that agents share: at least once, in order of priority, with leases."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lionagi_qe.coordination.backoff import Backoff, check_delay, exponential
from lionagi_qe.coordination.consumer import Consumer, give_back, handle
from lionagi_qe.coordination.job import Job
from lionagi_qe.coordination.new_job import (
    NewJob,
    check_after,
    check_duplicates,
    check_priority,
    new_job_id,
    new_job_ids,
)
from lionagi_qe.coordination.payloads import P, PayloadReader
from lionagi_qe.coordination.queue_state import DEFAULT_MAX_ATTEMPTS, DEFAULT_RESULT_TTL, QueueState
from lionagi_qe.coordination.undoing import or_undo
from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.contract.jobs import PutJob
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.transaction import check_transaction
from lionagi_qe.persistence.values.entry import check_count, check_list, check_seconds
from lionagi_qe.persistence.values.headers import with_headers
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from signal import Signals

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.contract.jobs import Claim, ClaimedJob, OnDuplicate
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.transaction import Transaction

T = TypeVar("T")
MAX_CLAIM = 1_000
DEFAULT_LEASE_TTL = 30.0
DEFAULT_GRACE = 30.0
# Without a notifier to wait for, look again after 10 ms, then ever more rarely. With one, look now
# and then all the same: a message may be lost with a connection that nobody noticed was gone.
_FIRST_POLL = 0.01
_LONGEST_POLL = 0.25
_SAFETY_POLL = 2.0


class WorkQueue(QueueState, Generic[P]):
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

    # Putting

    async def put(  # noqa: PLR0913 - keyword-only but for the payload
        self,
        payload: Any,  # noqa: ANN401 - any JSON value
        *,
        priority: int = 0,
        delay: float | timedelta = 0,
        dedupe: str | None = None,
        on_duplicate: OnDuplicate = "keep",
        dedupe_for: float | timedelta = 0,
        limit_key: str | None = None,
        after: Sequence[str] = (),
        fence: Fence | Fenced | None = None,
        transaction: Transaction | None = None,
        timeout: float | None = None,
    ) -> str:
        """Add a job and return its id. One round trip; calls at the same moment share it.

        Args:
            payload: JSON data, a dataclass or a pydantic model.
            priority: the lower, the sooner.
            delay: seconds (or timedelta) until it may be claimed.
            dedupe: while an unended job has the same text, add none and return that one's id.
            on_duplicate: what becomes of that one. "keep": nothing. "replace": if it waits, it gets
                this payload, priority and delay, all attempts before it; if it is being done, this
                job is added and takes the key over, and that one is not tried again should it
                fail: what was put last is done in any case. "earliest": if it waits, the lower of
                both priorities and the earlier of both times count, the payload is kept.
            dedupe_for: seconds (or timedelta) from now on, by the server's clock, for which the key
                is this job's even if it ends before: an idempotency key. Who puts it meanwhile gets
                its id; duplicates don't prolong that.
            limit_key: whose job it is, a customer's for example: any text of at most 128 bytes.
                Keys whose jobs wait take turns, within a priority; ``limit(per="key")`` limits how
                many jobs of each key run at once, or begin in a time.
            after: ids of jobs of this queue, at most 100, that have to be done before; until then
                it is "waiting". It gets their results by ``job.results()``. If one of them dies or
                is cancelled, so is this one, with an error that names it; ``retry_dead`` of both
                lets it wait again.
            fence: add it only while this lease is held.
            transaction: add it if and when this is applied; the id may then be another one's
                (``transaction.job_ids``), where ``dedupe`` is given.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidValueError, InvalidArgumentError: nothing was sent.
            StaleFenceError: nothing was added.
            JobNotFoundError: one of ``after`` isn't known, or not kept any more; nothing was added.
            BackendUnavailableError: see its ``outcome``.

        """
        held = fence_of(fence)
        transaction = check_transaction(transaction)
        new = NewJob(payload, priority, delay, dedupe, on_duplicate, dedupe_for, limit_key, after)
        if transaction is None:
            if self._traces.silent:
                return await self._calls.write(self._put(new, held), timeout=timeout)
            with self._traces.sending("put") as headers:
                return await self._calls.write(self._put(new, held, headers), timeout=timeout)
        if held is not None:
            msg = "fence: give it to memory.transaction(fence=...), for all that it changes"
            raise InvalidArgumentError(msg)
        with self._traces.creating() as headers:
            job = self._put(new, transaction.fence, headers)
        transaction.add_job(job)
        return job.job_id

    async def put_many(
        self,
        payloads: Iterable[Any],
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Add jobs in one atomic step and return their ids, in order.

        A payload may be a ``NewJob`` with its own priority, delay, dedupe, limit key and ``after``.
        BatchTooLargeError above the memory's ``max_batch``.
        """
        held = fence_of(fence)
        new = [
            payload if isinstance(payload, NewJob) else NewJob(payload)
            for payload in check_list("payloads", payloads)
        ]
        with self._traces.sending("put_many", len(new)) as headers:
            jobs = [self._put(job, held, headers) for job in new]
            return await self._calls.put_many(jobs, timeout=timeout)

    async def chain(
        self,
        payloads: Iterable[Any],
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Add jobs each of which comes after the one before, in one atomic step; return their ids.

        As ``put_many``; the ``after`` of a ``NewJob`` counts as well. Each gets the result of the
        one before by ``job.results()``.
        """
        links = [
            each if isinstance(each, NewJob) else NewJob(each)
            for each in check_list("payloads", payloads)
        ]
        ids = new_job_ids(len(links))
        for at, link in enumerate(links[1:], 1):
            links[at] = replace(link, after=[ids[at - 1], *check_after(link)])
        held = fence_of(fence)
        with self._traces.sending("chain", len(links)) as headers:
            jobs = [
                replace(self._put(link, held, headers), job_id=job_id)
                for link, job_id in zip(links, ids, strict=True)
            ]
            return await self._calls.put_many(jobs, timeout=timeout)

    def _put(
        self, job: NewJob, fence: Fence | None, headers: Mapping[str, str] | None = None
    ) -> PutJob:
        return PutJob(
            self.name,
            new_job_id(),
            with_headers(self._calls.encode(job.payload), headers or {}),
            check_priority(job.priority),
            check_delay(job.delay),
            None if job.dedupe is None else check_name("dedupe", job.dedupe),
            self._max_attempts,
            fence,
            *check_duplicates(job),
            None if job.limit_key is None else check_name("limit_key", job.limit_key),
            check_after(job),
        )

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
    async def work(
        self,
        handler: Callable[[Job[P]], Awaitable[Any]],
        concurrency: int = 1,
        *,
        lease_ttl: float = DEFAULT_LEASE_TTL,
        signals: Iterable[Signals] = (SIGTERM, SIGINT),
        grace: float = DEFAULT_GRACE,
    ) -> None:
        """Do jobs by ``handler(job)``, each in a task of its own, until stopped.

        What the handler returns is the result; what it raises is the job's error, and the job is
        tried again by the queue's rules. It may end the job itself, too. It is cancelled when the
        job is lost. See ``consume`` for the rest.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for job in self.consume(
                concurrency, lease_ttl=lease_ttl, signals=signals, grace=grace
            ):
                task = asyncio.create_task(handle(job, handler), name=repr(job))
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
