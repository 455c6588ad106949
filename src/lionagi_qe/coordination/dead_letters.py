"""The jobs of a queue whose attempts are used up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import check_count, check_list
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from lionagi_qe.persistence.calls.jobs import JobCalls

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that failed for good, with its last error."""

    id: str
    payload: Any
    error: Any
    attempts: int
    priority: int
    created_at: datetime


class DeadLetters:
    """What a queue's ``dead``, ``retry_dead`` and ``purge_dead`` do."""

    def __init__(self, calls: JobCalls, queue: str) -> None:
        self._calls = calls
        self._queue = queue

    async def page(self, limit: int, after: str) -> list[DeadJob]:
        """Return dead jobs with ids above ``after``, by id."""
        behind = "" if after == "" else check_name("job id", after)
        records = await self._calls.list_dead(self._queue, behind, check_count("limit", limit))
        return [
            DeadJob(
                record.job_id,
                decode(record.payload),
                None if not record.outcome else decode(record.outcome),
                record.attempts,
                record.priority,
                datetime.fromtimestamp(record.created_ms / 1000, UTC),
            )
            for record in records
        ]

    async def change(
        self, change: Callable[[str, list[str]], Awaitable[int]], job_ids: Iterable[str] | None
    ) -> int:
        """Have ``change`` done to these jobs, or to all; return how many were dead."""
        changed = 0
        if job_ids is not None:
            ids = check_list("job_ids", job_ids)
            wanted = [*dict.fromkeys(check_name("job id", job_id) for job_id in ids)]
            for first in range(0, len(wanted), _PAGE):
                changed += await change(self._queue, wanted[first : first + _PAGE])
            return changed
        after = ""
        while page := await self._calls.list_dead(self._queue, after, _PAGE):
            # By id: one that dies again meanwhile isn't met again.
            changed += await change(self._queue, [record.job_id for record in page])
            after = page[-1].job_id
        return changed
