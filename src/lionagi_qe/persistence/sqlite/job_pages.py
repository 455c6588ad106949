"""Pages of jobs in SQLite: each state's index, read from a position on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.job_pages import (
    numbers_of,
    position_of,
)
from lionagi_qe.persistence.contract.jobs import STATES, JobRecord, JobRecordPage, ListedRecord
from lionagi_qe.persistence.sqlite.job_statements import PAGE_OF_DEAD, PAGES_DOWN, PAGES_UP

if TYPE_CHECKING:
    from collections.abc import Mapping

    import apsw

    from lionagi_qe.persistence.contract.job_pages import ListedState

_FAR = 2**62
_LAST_ID = chr(0x10FFFF)


def page_of_jobs(
    connection: apsw.Connection,
    state: ListedState,
    after: str,
    limit: int,
    bound: Mapping[str, Any],
) -> JobRecordPage:
    """Read a page; ``bound`` has the fleet, the queue and the time."""
    text, position = _read_from(state, after)
    rows: list[Any] = connection.execute(text, {**bound, **position, "limit": limit}).fetchall()
    listed = [
        ListedRecord(JobRecord(job_id, STATES[number], *rest), due_ms)
        for job_id, number, *rest, due_ms, _, _ in rows
    ]
    behind = f"{rows[-1][-2]}:{rows[-1][-1]}" if len(rows) == limit else None
    return JobRecordPage(listed, behind)


def _read_from(state: ListedState, after: str) -> tuple[str, dict[str, int | str]]:
    if state == "dead":
        return PAGE_OF_DEAD, {"id": position_of(after)[1] if after else _LAST_ID}
    text = PAGES_UP.get(state)
    far = _FAR if text is None else -_FAR
    first, second = numbers_of(after) if after else (far, far)
    return text or PAGES_DOWN[state], {"first": first, "second": second}
