"""Periodic jobs in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AccessDeniedError
from lionagi_qe.persistence.contract.schedules import ScheduleRecord, Schedules
from lionagi_qe.persistence.postgres.columns import column

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
    from lionagi_qe.persistence.postgres.session import PostgresSession


class PostgresSchedules:
    """The schedules of the backend's fleet."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def put(self, schedule: PutSchedule) -> None:
        """Call the server's function."""
        try:
            await self._fetch(
                "put_schedule",
                schedule.queue,
                schedule.name,
                schedule.rule,
                schedule.spec,
                schedule.version,
            )
        except AccessDeniedError:
            raise self._session.refused(f"scheduling in queue {schedule.queue!r}") from None

    async def remove(self, queue: str, name: str) -> bool:
        """Delete the row."""
        return bool(await self._fetch("remove_schedule", queue, name))

    async def exchange(self, queue: str, name: str, old: str, new: str) -> bool:
        """Update the row, if its spec is the same."""
        return bool(await self._fetch("exchange_spec", queue, name, old, new))

    async def read(self, queue: str) -> Schedules:
        """Read the rows, and the clock in any case."""
        rows = await self._fetch("read_schedules", queue, mutates=False)
        found = [ScheduleRecord(*row[1:]) for row in rows if row[1] is not None]
        return Schedules(rows[0][0], found)

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Put the row back."""
        name, version, expected = record.name, record.version, record.fired_to_ms
        return bool(await self._fetch("restart_schedule", queue, name, version, expected, ahead_ms))

    async def fire(self, fire: Fire) -> bool:
        """Call the server's function."""
        ((fired,),) = await self._fetch(
            "fire_schedule",
            fire.queue,
            fire.record.name,
            fire.record.version,
            fire.record.fired_to_ms,
            fire.now_ms,
            column(fire.job_ids),
            fire.payload.decode(),
            fire.priority,
            fire.max_attempts,
            fire.dedupe,
        )
        return bool(fired)

    async def _fetch(self, name: str, *arguments: Any, mutates: bool = True) -> list[Any]:  # noqa: ANN401
        async with self._session.connection(mutates=mutates) as connection:
            return await connection.fetch(self._session.sql[name], self._session.fleet, *arguments)
