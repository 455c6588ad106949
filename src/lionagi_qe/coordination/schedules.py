"""Periodic jobs: what they are made of, and how consumers of a queue fire what is due."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, cast

from lionagi_qe.coordination.cron import Cron
from lionagi_qe.errors import (
    AqeError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidArgumentError,
)
from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
from lionagi_qe.persistence.values.headers import with_headers
from lionagi_qe.persistence.values.keys import check_name
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from lionagi_qe.coordination.job_traces import JobTraces
    from lionagi_qe.persistence.calls.jobs import JobCalls
    from lionagi_qe.persistence.contract.schedules import ScheduleRecord

Missed = Literal["skip", "once", "all"]
MISSED: tuple[Missed, ...] = ("skip", "once", "all")
Overlap = Literal["allow", "skip"]
OVERLAP: tuple[Overlap, ...] = ("allow", "skip")
# Seconds after which a firing that nobody saw to counts as missed.
PUNCTUAL = timedelta(seconds=60)
# Most missed ones that "all" makes up for: the latest.
MOST_MISSED = 100
# A schedule that is done with so much to come was fired by a clock that was put back since.
SET_BACK = timedelta(minutes=10)
# Seconds until consumers see that somebody made, changed or removed a schedule.
LOOK = 10.0
_PAUSE = 1.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOB_ID = re.compile(r"([0-9a-f]{12})s[0-9a-f]{19}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A periodic job.

    Attributes:
        name: its name, unique in the queue.
        cron: when, as cron has it.
        timezone: by which clocks.
        payload: what is put each time.
        priority: the lower, the sooner.
        missed: what becomes of the times at which no consumer was there.
        max_attempts: how often each of its jobs is tried before it is dead.
        next_at: when it is due next, in UTC; past, if no consumer has seen to it yet. None where
            that can't be told.
        overlap: what becomes of a time at which an earlier job of it has not ended.
        problem: why this machine can't see to it; None if it can.
    """

    name: str
    cron: str
    timezone: str
    payload: Any
    priority: int
    missed: Missed
    max_attempts: int
    next_at: datetime | None
    overlap: Overlap = "allow"
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What a schedule is made of."""

    name: str
    cron: str
    timezone: str
    payload: Any
    priority: int
    missed: str
    overlap: str
    max_attempts: int


class QueueSchedules:
    """The periodic jobs of one queue."""

    def __init__(self, calls: JobCalls, queue: str, traces: JobTraces) -> None:
        self._calls = calls
        self._queue = queue
        self._traces = traces
        self._changed = asyncio.Event()

    async def put(self, new: NewSchedule, *, timeout: float | None = None) -> None:
        """Make a schedule, or replace the one of that name."""
        cron = " ".join(check_name("cron", new.cron).split())
        Cron(cron, new.timezone)
        if new.missed not in MISSED:
            msg = f"missed {new.missed!r}: is one of {', '.join(MISSED)}"
            raise InvalidArgumentError(msg)
        if new.overlap not in OVERLAP:
            msg = f"overlap {new.overlap!r}: is one of {', '.join(OVERLAP)}"
            raise InvalidArgumentError(msg)
        if new.overlap == "skip" and new.missed == "all":
            msg = "missed 'all': puts jobs beside each other, which overlap='skip' doesn't; say one"
            raise InvalidArgumentError(msg)
        spec = {
            "payload": self._calls.encode(new.payload).decode(),
            "priority": new.priority,
            "missed": new.missed,
            "max_attempts": new.max_attempts,
        }
        if new.overlap != "allow":
            # What is stored of others stays what it was before there was a choice.
            spec["overlap"] = new.overlap
        rule = json.dumps({"cron": cron, "timezone": new.timezone})
        version = secrets.token_hex(8)
        schedule = PutSchedule(self._queue, new.name, rule, json.dumps(spec), version)
        await self._calls.put_schedule(schedule, timeout=timeout)
        self._changed.set()

    async def remove(self, name: str, *, timeout: float | None = None) -> bool:
        """Remove a schedule; return whether it was there."""
        return await self._calls.remove_schedule(self._queue, name, timeout=timeout)

    async def read(self) -> list[Schedule]:
        """Return all schedules by name."""
        found = await self._calls.read_schedules(self._queue)
        return [_shown(record) for record in found.records]

    async def whose(self, job_id: str) -> str | None:
        """Return the name of the schedule that put a job; None if none of those that are did."""
        moment = scheduled_for(job_id)
        if moment is None:
            return None
        found = await self._calls.read_schedules(self._queue)
        names = (record.name for record in found.records)
        return next((name for name in names if _job_id(self._queue, name, moment) == job_id), None)

    async def keep_firing(self) -> None:
        """Put the jobs of schedules whenever they are due, until cancelled."""
        while True:
            self._changed.clear()
            try:
                pause = await self.fire_due()
            except ConfigurationError:
                # A backend without periodic jobs.
                return
            except AqeError as error:
                _log.warning(
                    "schedules of queue %r can't be seen to yet: %s",
                    self._queue,
                    error,
                    extra=log_fields(queue=self._queue, error=error),
                )
                pause = _PAUSE if isinstance(error, BackendUnavailableError) else LOOK
            await _wait(self._changed, min(pause, LOOK))

    async def fire_due(self) -> float:
        """Put the jobs that are due; return in how many seconds the next is, by the server's clock.

        Consumers that do so at the same moment put them once: the server takes what the first does.
        """
        found = await self._calls.read_schedules(self._queue)
        now = _time(found.now_ms)
        pauses = [LOOK]
        for record in found.records:
            if _time(record.fired_to_ms) - now > SET_BACK:
                await self._restart(record)
                pauses.append(_PAUSE)
                continue
            schedule = _shown(record)
            if schedule.next_at is None:
                _log.warning(
                    "schedule %r of queue %r: %s",
                    record.name,
                    self._queue,
                    schedule.problem,
                    extra=log_fields(queue=self._queue),
                )
                continue
            if schedule.next_at <= now:
                await self._fire(self._firing(record, schedule, now, found.now_ms))
                pauses.append(_seconds_to(schedule, now))
            else:
                pauses.append((schedule.next_at - now).total_seconds())
        return min(pauses)

    async def _restart(self, record: ScheduleRecord) -> None:
        ahead_ms = SET_BACK // timedelta(milliseconds=1)
        if await self._calls.restart_schedule(self._queue, record, ahead_ms):
            _log.warning(
                "schedule %r of queue %r goes on from now: the server's clock was put back",
                record.name,
                self._queue,
                extra=log_fields(queue=self._queue),
            )

    async def _fire(self, fire: Fire) -> None:
        if not fire.job_ids:
            await self._calls.fire(fire)
            return
        with self._traces.sending("fire", len(fire.job_ids)) as headers:
            await self._calls.fire(replace(fire, payload=with_headers(fire.payload, headers)))

    def _firing(
        self, record: ScheduleRecord, schedule: Schedule, now: datetime, now_ms: int
    ) -> Fire:
        job_ids = [
            _job_id(self._queue, schedule.name, moment)
            for moment in due_moments(schedule, _time(record.fired_to_ms), now)
        ]
        payload = json.loads(record.spec)["payload"].encode()
        return Fire(
            self._queue,
            record,
            now_ms,
            job_ids,
            payload,
            schedule.priority,
            schedule.max_attempts,
            # No key of a user's has a line break.
            f"schedule\n{schedule.name}" if schedule.overlap == "skip" else None,
        )


def due_moments(schedule: Schedule, since: datetime, now: datetime) -> list[datetime]:
    """Return the moments after ``since`` up to ``now`` to put a job for, the earliest first."""
    if schedule.missed == "skip":
        since = max(since, now - PUNCTUAL)
    most = {"skip": 1, "once": 1, "all": MOST_MISSED}[schedule.missed]
    moments = _cron(schedule.cron, schedule.timezone).between(since, now)
    return list(islice(moments, most))[::-1]


def scheduled_for(job_id: str) -> datetime | None:
    """Return the moment that a job of a schedule was put for; None for other jobs."""
    matched = _JOB_ID.fullmatch(job_id)
    return _time(int(matched[1], 16)) if matched else None


def _job_id(queue: str, name: str, moment: datetime) -> str:
    """Return the id of the job of that moment, which no second one can have; it sorts by time."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    whose = hashlib.blake2b(f"{len(queue)} {queue} {name}".encode()).hexdigest()[:19]
    return f"{milliseconds:012x}s{whose}"


def _shown(record: ScheduleRecord) -> Schedule:
    rule, spec = json.loads(record.rule), json.loads(record.spec)
    next_at, problem = None, None
    try:
        cron = _cron(rule["cron"], rule["timezone"])
        next_at = next(cron.after(_time(record.fired_to_ms)), datetime.max.replace(tzinfo=UTC))
    except InvalidArgumentError as error:
        # Made where more zones are known, or by another release.
        problem = str(error)
    return Schedule(
        record.name,
        rule["cron"],
        rule["timezone"],
        json.loads(spec["payload"]),
        spec["priority"],
        cast("Missed", spec["missed"]),
        spec["max_attempts"],
        next_at,
        cast("Overlap", spec.get("overlap", "allow")),
        problem,
    )


def _seconds_to(schedule: Schedule, now: datetime) -> float:
    following = next(_cron(schedule.cron, schedule.timezone).after(now), None)
    return LOOK if following is None else (following - now).total_seconds()


@lru_cache(maxsize=256)
def _cron(expression: str, timezone: str) -> Cron:
    return Cron(expression, timezone)


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
