"""The jobs of a queue whose attempts are used up."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import check_count, check_list
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from lionagi_qe.persistence.calls.jobs import JobCalls

_PAGE = 500
_LONGEST_REASON = 200
# What tells one occurrence of an error from another.
_PARTICULAR = re.compile(
    r"""'[^'\n]*' | "[^"\n]*" | \b0x[0-9a-fA-F]+\b
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
    | \b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{12,}\b | \d+(?:[.:,]\d+)*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that failed for good, with its last error."""

    id: str
    payload: Any
    error: Any
    attempts: int
    priority: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Dead jobs of one queue that died of the same.

    Attributes:
        reason: their error, with "…" for what differs: numbers, ids, quoted text, addresses.
        count: how many there are.
        first: the oldest of them.
        last: the newest of them.
    """

    reason: str
    count: int
    first: DeadJob
    last: DeadJob


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

    async def groups(self, limit: int) -> list[DeadGroup]:
        """Return the reasons of the oldest ``limit`` dead jobs, the most frequent first."""
        left = check_count("limit", limit)
        found: dict[str, DeadGroup] = {}
        after = ""
        while left > 0:
            jobs = await self.page(min(left, _PAGE), after)
            for job in jobs:
                reason = reason_of(job.error)
                group = found.get(reason) or DeadGroup(reason, 0, job, job)
                found[reason] = replace(group, count=group.count + 1, last=job)
            if len(jobs) < min(left, _PAGE):
                break
            left -= len(jobs)
            after = jobs[-1].id
        return sorted(found.values(), key=lambda group: -group.count)

    async def purge_old(self, before_ms: int) -> int:
        """Remove those that were put before a time; return how many."""
        removed = 0
        after = ""
        while page := await self._calls.list_dead(self._queue, after, _PAGE):
            # One whose payload was replaced is younger than its id.
            old = [record.job_id for record in page if record.created_ms < before_ms]
            if old:
                removed += await self._calls.purge(self._queue, old)
            after = page[-1].job_id
        return removed

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


def reason_of(error: object) -> str:
    """Return an error with "…" for what tells its occurrences apart, in one line."""
    return _PARTICULAR.sub("…", " ".join(str(error).split()))[:_LONGEST_REASON]
