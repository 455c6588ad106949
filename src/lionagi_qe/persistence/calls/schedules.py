"""The calls that periodic jobs stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.persistence.calls.base import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence.contract.schedules import (
        Fire,
        PutSchedule,
        ScheduleBackend,
        ScheduleRecord,
        Schedules,
    )

T = TypeVar("T")


class ScheduleCalls(Calls):
    """Make, read and fire schedules by checked names; one round trip each."""

    async def put_schedule(self, schedule: PutSchedule, *, timeout: float | None = None) -> None:
        """Make or replace a schedule. Safe to repeat."""
        await self._ask_schedules(lambda schedules: schedules.put(schedule), timeout)

    async def remove_schedule(self, queue: str, name: str, *, timeout: float | None = None) -> bool:
        """Remove a schedule; return whether it was there. Not repeated: that would be False."""
        return await self._ask_schedules(
            lambda schedules: schedules.remove(queue, name), timeout, repeat=False
        )

    async def read_schedules(self, queue: str, *, timeout: float | None = None) -> Schedules:
        """Return all schedules of a queue, and the server's time."""
        return await self._ask_schedules(lambda schedules: schedules.read(queue), timeout)

    async def restart_schedule(
        self, queue: str, record: ScheduleRecord, ahead_ms: int, *, timeout: float | None = None
    ) -> bool:
        """Let a schedule begin now that is done with more than that to come. Not repeated."""
        return await self._ask_schedules(
            lambda schedules: schedules.restart(queue, record, ahead_ms), timeout, repeat=False
        )

    async def fire(self, fire: Fire, *, timeout: float | None = None) -> bool:
        """Put what a schedule is due for, if nobody did.

        Not repeated: who reads the schedule again sees whether it was done.
        """
        return await self._ask_schedules(
            lambda schedules: schedules.fire(fire), timeout, repeat=False
        )

    async def _ask_schedules(
        self,
        action: Callable[[ScheduleBackend], Awaitable[T]],
        timeout: float | None,
        *,
        repeat: bool = True,
    ) -> T:
        deadline = self._scheduler.deadline(timeout)
        return await self._scheduler.perform(
            lambda: action(self._scheduler.schedules), deadline, repeat=repeat
        )
