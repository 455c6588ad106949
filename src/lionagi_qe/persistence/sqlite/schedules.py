"""Periodic jobs in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.schedules import ScheduleRecord, Schedules
from lionagi_qe.persistence.sqlite import job_statements as sql
from lionagi_qe.persistence.sqlite.schema import now

if TYPE_CHECKING:
    import apsw

    from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
    from lionagi_qe.persistence.sqlite.session import SqliteSession

_PUT = """
INSERT INTO job_schedules (fleet, queue, name, rule, spec, version, fired_to_ms)
VALUES (:fleet, :queue, :name, :rule, :spec, :version, :now)
ON CONFLICT DO UPDATE SET
    rule = excluded.rule, spec = excluded.spec, version = excluded.version,
    fired_to_ms = CASE WHEN rule = excluded.rule THEN fired_to_ms
        ELSE max(fired_to_ms, excluded.fired_to_ms) END
WHERE rule <> excluded.rule OR spec <> excluded.spec
"""
_REMOVE = """
DELETE FROM job_schedules WHERE fleet = :fleet AND queue = :queue AND name = :name
"""
_EXCHANGE = """
UPDATE job_schedules SET spec = :new
WHERE fleet = :fleet AND queue = :queue AND name = :name AND spec = :old
"""
_READ = """
SELECT name, rule, spec, version, fired_to_ms FROM job_schedules
WHERE fleet = :fleet AND queue = :queue ORDER BY name
"""
_ADVANCE = """
UPDATE job_schedules SET fired_to_ms = :until
WHERE fleet = :fleet AND queue = :queue AND name = :name AND version = :version
    AND fired_to_ms = :expected AND :until > :expected AND :until <= :now
"""
_RESTART = """
UPDATE job_schedules SET fired_to_ms = :now
WHERE fleet = :fleet AND queue = :queue AND name = :name AND version = :version
    AND fired_to_ms = :expected AND fired_to_ms > :now + :ahead
"""


class SqliteSchedules:
    """The schedules of the backend's fleet."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session

    def _bound(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - SQL's values
        return {"fleet": self._session.fleet, "now": now(), **more}

    async def put(self, schedule: PutSchedule) -> None:
        """Insert or update the row."""

        def change(connection: apsw.Connection) -> None:
            bound = self._bound(
                queue=schedule.queue,
                name=schedule.name,
                rule=schedule.rule,
                spec=schedule.spec,
                version=schedule.version,
            )
            connection.execute(sql.NOTE_QUEUE, bound)
            connection.execute(_PUT, bound)

        await self._session.transact(change)

    async def remove(self, queue: str, name: str) -> bool:
        """Delete the row."""

        def change(connection: apsw.Connection) -> bool:
            connection.execute(_REMOVE, self._bound(queue=queue, name=name))
            return connection.changes() > 0

        return await self._session.transact(change)

    async def exchange(self, queue: str, name: str, old: str, new: str) -> bool:
        """Update the row, if its spec is the same."""

        def change(connection: apsw.Connection) -> bool:
            connection.execute(_EXCHANGE, self._bound(queue=queue, name=name, old=old, new=new))
            return connection.changes() > 0

        return await self._session.transact(change)

    async def read(self, queue: str) -> Schedules:
        """Read the rows."""

        def read(connection: apsw.Connection) -> Schedules:
            rows: Any = connection.execute(_READ, self._bound(queue=queue))
            return Schedules(now(), [ScheduleRecord(*row) for row in rows])

        return await self._session.read(read)

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Put the row back."""

        def change(connection: apsw.Connection) -> bool:
            bound = self._bound(
                queue=queue,
                name=record.name,
                version=record.version,
                expected=record.fired_to_ms,
                ahead=ahead_ms,
            )
            connection.execute(_RESTART, bound)
            return connection.changes() > 0

        return await self._session.transact(change)

    async def fire(self, fire: Fire) -> bool:
        """Advance the row and put the jobs in one transaction."""

        def change(connection: apsw.Connection) -> bool:
            bound = self._bound(
                queue=fire.queue,
                name=fire.record.name,
                version=fire.record.version,
                expected=fire.record.fired_to_ms,
                until=fire.now_ms,
                payload=fire.payload,
                priority=fire.priority,
                max_attempts=fire.max_attempts,
                delay=0,
                dedupe=fire.dedupe,
                limit_key=None,
            )
            connection.execute(_ADVANCE, bound)
            if not connection.changes():
                return False
            for job_id in fire.job_ids:
                connection.execute(sql.PUT, {**bound, "id": job_id})
            return True

        return await self._session.transact(change)
