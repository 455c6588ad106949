"""What is seen of a queue's jobs, and changed of them, by others than their workers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from lionagi_qe.coordination.backoff import check_delay
from lionagi_qe.coordination.dead_letters import DeadLetters
from lionagi_qe.coordination.failed_attempts import FailedAttempt, failed_attempts_of
from lionagi_qe.coordination.job_traces import JobTraces
from lionagi_qe.coordination.limits import QueueLimits, job_limit
from lionagi_qe.coordination.new_job import MAX_PRIORITY, check_priority
from lionagi_qe.coordination.results import Results
from lionagi_qe.coordination.schedules import NewSchedule, QueueSchedules
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.job_pages import LISTED_STATES
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import check_count, check_seconds
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from lionagi_qe.coordination.dead_letters import DeadGroup, DeadJob
    from lionagi_qe.coordination.limits import Limit
    from lionagi_qe.coordination.schedules import Missed, Overlap, Schedule
    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.job_states import State
    from lionagi_qe.persistence.contract.jobs import JobRecord, ListedRecord, QueueCounts
    from lionagi_qe.persistence.contract.limits import Per

DEFAULT_MAX_ATTEMPTS = 5
DEFAULT_RESULT_TTL = 3_600.0
Cancellation = Literal["cancelled", "cancelling", "already done", "already dead", "unknown"]
_CANCELLATIONS: dict[str, Cancellation] = {
    "cancelled": "cancelled",
    "cancelling": "cancelling",
    "done": "already done",
    "dead": "already dead",
}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as it was when asked for.

    Attributes:
        id: the job's id.
        state: "delayed", "ready", "claimed", "cancelling" (claimed, and its worker is to be told),
            "done", "dead" or "cancelled".
        attempts: how many were begun.
        max_attempts: after so many it is dead.
        priority: the lower, the sooner.
        payload: what was put; None once it is done or cancelled.
        result: what it came to, if it is done.
        error: the error of its last failed attempt, if it isn't done.
        progress: what its worker noted last.
        created_at: when it was put, UTC by the server's clock.
        limit_key: what it was put with; it counts towards the limit of that key.
        failed_attempts: the newest ten, the oldest first; of ``status`` alone, not of lists.
    """

    id: str
    state: State
    attempts: int
    max_attempts: int
    priority: int
    payload: Any
    result: Any
    error: Any
    progress: Any
    created_at: datetime
    limit_key: str | None = None
    failed_attempts: tuple[FailedAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in a list; ``due_at``: when its delay or its claim ends, None in other states."""

    status: JobStatus
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs; ``after``: pass it on for the next one, None at the end."""

    jobs: list[ListedJob]
    after: str | None


class QueueState:
    """Looking at the jobs of a queue, cancelling them, its schedules and dead letters.

    Args:
        memory: where the queue lives.
        name: any text of at most 128 bytes.
        max_attempts: how often a job of a schedule is tried before it is dead.
        result_ttl: seconds that a cancelled job is kept.
    """

    def __init__(
        self,
        memory: Memory,
        name: str,
        *,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        result_ttl: float = DEFAULT_RESULT_TTL,
    ) -> None:
        parts = parts_of(memory)
        self._calls = parts.jobs
        self._clock = parts.bulk.clock
        self.name = check_name("queue", name)
        self._traces = JobTraces(parts.telemetry, memory.fleet, self.name)
        self._max_attempts = check_count("max_attempts", max_attempts, MAX_PRIORITY)
        self._result_ttl_ms = math.ceil(check_seconds("result_ttl", result_ttl) * 1000)
        self._results = Results(self._calls, self.name)
        self._dead_letters = DeadLetters(self._calls, self.name)
        self._schedules = QueueSchedules(self._calls, self.name, self._traces)
        self._limits = QueueLimits(self._calls, self.name)

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Wait until a job is done and return its result.

        Raises:
            JobFailedError: it is dead; the message has its last error.
            JobCancelledError: it was cancelled.
            JobNotFoundError: the queue doesn't know it, or its result was kept long enough.
            JobNotDoneError: it wasn't done within ``timeout`` seconds (None: no limit).

        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        return await self._results.wait(check_name("job id", job_id), timeout)

    async def status(self, job_id: str) -> JobStatus | None:
        """Return how a job stands, with its progress; None for one that isn't known (any more)."""
        (record,) = await self._calls.find(self.name, [check_name("job id", job_id)])
        return None if record is None else _status(record)

    async def stats(self) -> QueueCounts:
        """Count the jobs by state: ready, delayed, waiting, claimed, done, dead, cancelled."""
        return await self._calls.count(self.name)

    async def jobs(self, state: ListedState, limit: int = 100, after: str = "") -> JobPage:
        """Return a page of the jobs in a state; ``after``: what the page before it had as its own.

        Ready ones in the order of claims, those of each limit key behind those without one; delayed
        and claimed ones (those being cancelled as well) by when that ends; waiting ones the oldest
        first, others the newest.
        Jobs that change their state meanwhile may be missed or met twice. One round trip, which
        costs what the page holds, wherever it lies; but on SQL databases it passes jobs that other
        queues have done to list those that this one has.

        Raises:
            InvalidArgumentError: there is no such state, or ``after`` is not from a page.

        """
        if state not in LISTED_STATES:
            msg = f"state {state!r}: is one of {', '.join(LISTED_STATES)}"
            raise InvalidArgumentError(msg)
        count = check_count("limit", limit)
        if not isinstance(after, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"after {after!r}: is a text, that of the page before"
            raise InvalidArgumentError(msg)
        page = await self._calls.list_jobs(self.name, state, after, count)
        return JobPage([_listed(each) for each in page.jobs], page.after)

    async def cancel(self, job_id: str, *, timeout: float | None = None) -> Cancellation:
        """Cancel a job, and return what that came to. One round trip; safe to repeat.

        "cancelled": it waited, nobody will do it. "cancelling": somebody does it. Its worker is
        told when it next extends the lease, within a third of ``lease_ttl``, and cancels the
        handler's task; the job is cancelled when that has ended, whatever it raises, or when the
        lease ends. A handler that returns all the same has done the job. "already done", "already
        dead": nothing was changed. "unknown": the queue has no such job, or not any more.

        What it came to at last is ``status(job_id).state``, kept for ``result_ttl``; whoever waits
        for the result gets JobCancelledError. The server decides between this and a claim or an
        ``ack`` at the same moment.
        """
        state = await self._calls.cancel(
            self.name, check_name("job id", job_id), self._result_ttl_ms, timeout=timeout
        )
        return _CANCELLATIONS.get(state, "unknown")

    async def schedule(  # noqa: PLR0913 - keyword-only but for the name
        self,
        name: str,
        *,
        cron: str,
        timezone: str = "UTC",
        payload: Any = None,  # noqa: ANN401 - any JSON value
        priority: int = 0,
        missed: Missed = "once",
        overlap: Overlap = "allow",
        timeout: float | None = None,
    ) -> None:
        """Have a job put whenever ``cron`` says. One round trip; the same again changes nothing.

        Whoever consumes the queue sees to it, each in turn; a job is put once however many they
        are, which the server decides, as it does whether it is time. It is put within a second of
        that, or up to 10 s later if the schedule was changed in the last 10 s. While nobody
        consumes, nothing is put. ``job.scheduled_for`` is the time that a job is for.

        Args:
            name: of the schedule; the one of that name is replaced. With the same cron and timezone
                it goes on where the former was, with others it begins now.
            cron: five fields, six with the seconds in front, or "@daily" and the like; see
                ``Cron``.
            timezone: an IANA name. Of a time that the clocks show twice the first counts; times
                that they skip are due, once for all of them, when they skip them.
            payload: JSON data, a dataclass or a pydantic model.
            priority: the lower, the sooner.
            missed: what becomes of times that nobody saw to within a minute, as nobody consumed.
                "skip": nothing. "once": one job, for the last of them. "all": a job for each, but
                for the last 100 at most.
            overlap: what becomes of a time at which the job of an earlier one, put since this was
                chosen, has not ended: it waits, runs, or is to be tried again. "allow": a job is
                put all the same. "skip": none is. The server decides, in the step that would put.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidArgumentError: cron, timezone, missed or overlap can't be read, or "all" is
                asked of what is missed beside "skip".

        """
        new = NewSchedule(
            check_name("schedule", name),
            cron,
            timezone,
            payload,
            check_priority(priority),
            missed,
            overlap,
            self._max_attempts,
        )
        await self._schedules.put(new, timeout=timeout)

    async def unschedule(self, name: str, *, timeout: float | None = None) -> bool:
        """Remove a schedule; return whether it was there. Jobs that it put already stay."""
        return await self._schedules.remove(check_name("schedule", name), timeout=timeout)

    async def schedules(self) -> list[Schedule]:
        """Return the queue's periodic jobs by name, with the time at which each is due next."""
        return await self._schedules.read()

    async def limit(  # noqa: PLR0913 - keyword-only
        self,
        *,
        per: Per = "queue",
        concurrency: int | None = None,
        rate: int | None = None,
        period: float | timedelta = 1.0,
        burst: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Limit how many jobs run at once, and how many begin in a time, for all workers together.

        The server decides at each claim; what is set holds for all claims that begin after this
        has returned, and what workers hold already counts. It replaces the former limit ``per``
        the same; without ``concurrency`` and ``rate`` there is none any more. One round trip, and
        on the server a step for each key whose jobs wait at a limit.

        Args:
            per: "queue": all jobs of the queue together. "key": those of each ``limit_key`` by
                itself (``queue.put(..., limit_key="customer-7")``); jobs without one aren't
                limited by it.
            concurrency: most jobs that workers hold at once. The place of a worker that died is
                free when its lease ends.
            rate: most jobs that begin each ``period``, evenly spaced: after ``burst`` of them one
                each ``period / rate``. Each attempt counts, one that is released as well. In no
                stretch of ``period`` begin more than ``rate + burst - 1``.
            period: seconds (or timedelta), to the millisecond; at most 366 days.
            burst: how many may begin at once after a pause, at most ``rate``. None: as many as
                fall due in 0.1 s, at least 1.
            timeout: seconds for this call instead of the memory's own.

        """
        limit = job_limit(per, concurrency, rate, period, burst)
        await self._limits.put(limit, timeout=timeout)

    async def limits(self) -> list[Limit]:
        """Return the queue's limits, that of the queue before that of each key."""
        return await self._limits.read()

    async def dead(self, limit: int = 100, after: str = "") -> list[DeadJob]:
        """Return dead jobs, the oldest first; ``after``: go on behind the job with this id."""
        return await self._dead_letters.page(limit, after)

    async def dead_groups(self, limit: int = 10_000) -> list[DeadGroup]:
        """Return the reasons why jobs died, the most frequent first.

        Errors that differ in numbers, ids, quoted text or addresses alone are one reason. Looks at
        the oldest ``limit`` dead jobs, 500 a round trip.
        """
        return await self._dead_letters.groups(limit)

    async def retry_dead(self, job_ids: Iterable[str] | None = None) -> int:
        """Give dead jobs (all, if None) all their attempts again; return how many.

        One whose ``dedupe`` an unended job has by now stays dead: that one does its work. Of
        several dead ones with one key, the oldest is tried again.
        """
        return await self._dead_letters.change(self._calls.revive, job_ids)

    async def purge_dead(
        self,
        job_ids: Iterable[str] | None = None,
        *,
        older_than: float | timedelta | None = None,
    ) -> int:
        """Remove dead jobs (all, if None) for good; return how many.

        Nothing else ever does: where nobody looks at them, have a scheduled job call this.

        Args:
            job_ids: these alone; those among them that aren't dead stay.
            older_than: of all, those alone that were put longer ago than that, in seconds (or
                timedelta), by the server's clock.

        """
        if older_than is None:
            return await self._dead_letters.change(self._calls.purge, job_ids)
        if job_ids is not None:
            msg = f"older_than {older_than!r}: is asked of all dead jobs; leave job_ids out"
            raise InvalidArgumentError(msg)
        before_ms = await self._clock() - check_delay(older_than, "older_than")
        return await self._dead_letters.purge_old(before_ms)


def _status(record: JobRecord) -> JobStatus:
    is_done = record.state == "done"
    outcome = _decoded(record.outcome)
    return JobStatus(
        record.job_id,
        record.state,
        record.attempts,
        record.max_attempts,
        record.priority,
        _decoded(record.payload),
        outcome if is_done else None,
        None if is_done else outcome,
        _decoded(record.progress),
        datetime.fromtimestamp(record.created_ms / 1000, UTC),
        record.limit_key,
        failed_attempts_of(record.failures),
    )


def _listed(listed: ListedRecord) -> ListedJob:
    due_ms = listed.due_ms
    due_at = None if due_ms is None else datetime.fromtimestamp(due_ms / 1000, UTC)
    return ListedJob(_status(listed.record), due_at)


def _decoded(value: bytes | str | None) -> Any:  # noqa: ANN401 - any JSON value
    return decode(cast("bytes", value)) if value else None
