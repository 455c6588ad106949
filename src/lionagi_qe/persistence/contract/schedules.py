"""The contract of periodic jobs that a backend fills, beside its queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class PutSchedule:
    """Make a schedule, or replace the one of that name.

    The server compares: one with the same ``rule`` goes on from where the former was, so that
    nothing is fired twice or left out; one with another begins now. The same in all is no change.

    Attributes:
        rule: what says when, in the words of the caller.
        spec: what else there is to know, in JSON.
        version: unique to this call; what it was last changed by.
    """

    queue: str
    name: str
    rule: str
    spec: str
    version: str


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule as the server knows it; ``fired_to_ms``: all that was due by then is done with."""

    name: str
    rule: str
    spec: str
    version: str
    fired_to_ms: int


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of a queue by name, and the server's time when they were read."""

    now_ms: int
    records: list[ScheduleRecord]


@dataclass(frozen=True, slots=True)
class Fire:
    """Put the jobs that a schedule is due for, if nobody else did, or changed it.

    Only while ``record`` is as it was read, and ``now_ms`` lies behind its ``fired_to_ms`` and has
    come: one atomic step, after which ``fired_to_ms`` is ``now_ms``.

    Attributes:
        job_ids: one for each time that it was due; one that is there already is left as it is.
        dedupe: if given, each is put only if no unended job of the queue has this key, which is
            then its own.
    """

    queue: str
    record: ScheduleRecord
    now_ms: int
    job_ids: Sequence[str]
    payload: bytes
    priority: int
    max_attempts: int
    dedupe: str | None = None


class ScheduleBackend(Protocol):
    """The schedules of one fleet. Each call is atomic and takes one round trip."""

    async def put(self, schedule: PutSchedule) -> None:
        """Make or replace a schedule."""
        ...

    async def remove(self, queue: str, name: str) -> bool:
        """Remove a schedule; return whether it was there."""
        ...

    async def read(self, queue: str) -> Schedules:
        """Return all schedules of a queue."""
        ...

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Let a schedule begin now if it is done with more than ``ahead_ms`` to come.

        So it is once the server's clock was put back. False if it isn't as it was read, or isn't
        so far ahead.
        """
        ...

    async def fire(self, fire: Fire) -> bool:
        """Put what is due; False if the schedule isn't as it was read."""
        ...
