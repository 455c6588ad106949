"""Periodic jobs in Redis: a hash beside the queue's jobs, in the same shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.schedules import ScheduleRecord, Schedules
from lionagi_qe.persistence.redis import scripts

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
    from lionagi_qe.persistence.redis.session import RedisSession

_FIELDS = 5


class RedisSchedules:
    """The schedules of the backend's fleet."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def put(self, schedule: PutSchedule) -> None:
        """Call the script."""
        await self._run(
            "put",
            schedule.queue,
            schedule.name,
            schedule.rule,
            schedule.spec,
            schedule.version,
        )

    async def remove(self, queue: str, name: str) -> bool:
        """Call the script."""
        return bool(await self._run("remove", queue, name))

    async def exchange(self, queue: str, name: str, old: str, new: str) -> bool:
        """Call the script."""
        return bool(await self._run("exchange", queue, name, old, new))

    async def read(self, queue: str) -> Schedules:
        """Call the script."""
        now_ms, *flat = await self._run("read", queue, mutates=False)
        rows = [flat[at : at + _FIELDS] for at in range(0, len(flat), _FIELDS)]
        found = [
            ScheduleRecord(
                name.decode(), rule.decode(), spec.decode(), version.decode(), int(fired_to)
            )
            for name, version, fired_to, rule, spec in rows
        ]
        return Schedules(int(now_ms), sorted(found, key=lambda record: record.name))

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Call the script."""
        name, version, expected = record.name, record.version, record.fired_to_ms
        return bool(await self._run("restart", queue, name, version, expected, ahead_ms))

    async def fire(self, fire: Fire) -> bool:
        """Call the script."""
        fired = await self._run(
            "fire",
            fire.queue,
            fire.record.name,
            fire.record.version,
            fire.record.fired_to_ms,
            fire.now_ms,
            fire.payload,
            fire.priority,
            fire.max_attempts,
            fire.dedupe or "",
            *fire.job_ids,
        )
        return bool(fired)

    async def _run(self, what: str, queue: str, *words: Any, mutates: bool = True) -> Any:  # noqa: ANN401
        shard = self._session.shards.of(queue)
        return await self._session.run(
            scripts.QUEUE_SCHEDULE, shard, what, queue, *words, mutates=mutates
        )
