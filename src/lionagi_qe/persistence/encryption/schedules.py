"""Periodic jobs whose payloads are sealed; their rules, as times and names, stay in clear."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from lionagi_qe.errors import DecryptionError
from lionagi_qe.persistence.contract.schedules import Schedules
from lionagi_qe.persistence.encryption.coordination import any_job
from lionagi_qe.persistence.encryption.keys import place_of
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.schedules import (
        Fire,
        PutSchedule,
        ScheduleBackend,
        ScheduleRecord,
    )
    from lionagi_qe.persistence.encryption.keys import KeyRing

_log = logging.getLogger(__name__)


class EncryptedSchedules:
    """The schedules of a backend that stores sealed payloads."""

    def __init__(self, inner: ScheduleBackend, keys: KeyRing, fleet: str) -> None:
        self._inner = inner
        self._keys = keys
        self._fleet = fleet

    def _place(self, queue: str, name: str) -> bytes:
        return place_of(self._fleet, "schedule", queue, name)

    async def put(self, schedule: PutSchedule) -> None:
        """Make or replace a schedule; the server has to see whether it is the same again."""
        place = self._place(schedule.queue, schedule.name)
        sealed = self._keys.seal(place, schedule.spec.encode(), fixed=True)
        await self._inner.put(replace(schedule, spec=sealed.decode()))

    async def remove(self, queue: str, name: str) -> bool:
        """Remove a schedule."""
        return await self._inner.remove(queue, name)

    async def read(self, queue: str) -> Schedules:
        """Return the schedules of a queue that can be opened; the others are logged."""
        found = await self._inner.read(queue)
        records: list[ScheduleRecord] = []
        for record in found.records:
            try:
                spec = self._keys.open(self._place(queue, record.name), record.spec)
            except DecryptionError as error:
                _log.error("queue %r: %s", queue, error, extra=log_fields(queue=queue, error=error))
            else:
                records.append(replace(record, spec=spec.decode()))
        return Schedules(found.now_ms, records)

    async def restart(self, queue: str, record: ScheduleRecord, ahead_ms: int) -> bool:
        """Let a schedule begin now that is far ahead."""
        return await self._inner.restart(queue, record, ahead_ms)

    async def fire(self, fire: Fire) -> bool:
        """Put what is due: one payload for several jobs, so bound to the queue alone."""
        sealed = self._keys.seal(any_job(self._fleet, fire.queue), fire.payload)
        return await self._inner.fire(replace(fire, payload=sealed))
