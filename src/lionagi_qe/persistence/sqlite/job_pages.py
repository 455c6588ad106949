"""Pages of jobs in SQLite: each state's index, read from a position on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.job_pages import (
    end_in_line,
    numbers_of,
    place_in_line,
    position_of,
)
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.contract.jobs import JobRecord, JobRecordPage, ListedRecord
from lionagi_qe.persistence.sqlite.job_statements import (
    PAGE_OF_DEAD,
    PAGE_OF_LINES,
    PAGES_DOWN,
    PAGES_UP,
)

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
    read = partial(_read, connection, bound)
    if state != "ready":
        text, position = _read_from(state, after)
        rows = read(text, limit, position)
        return _page(rows, limit)
    key, position = place_in_line(after)
    first, second = numbers_of(position) if position else (-_FAR, -_FAR)
    rows: list[Any] = []
    if key is None:
        rows = read(PAGES_UP["ready"], limit, {"first": first, "second": second})
        # Limit keys aren't empty.
        key, first, second = "", -_FAR, -_FAR
    if len(rows) < limit:
        place = {"key": key, "first": first, "second": second}
        rows += read(PAGE_OF_LINES, limit - len(rows), place)
    return _page(rows, limit)


def _read(
    connection: apsw.Connection,
    bound: Mapping[str, Any],
    text: str,
    limit: int,
    position: Mapping[str, Any],
) -> list[Any]:
    return connection.execute(text, {**bound, **position, "limit": limit}).fetchall()


def _page(rows: list[Any], limit: int) -> JobRecordPage:
    listed = [
        ListedRecord(JobRecord(job_id, STATES[number], *rest), due_ms)
        for job_id, number, *rest, due_ms, _, _ in rows
    ]
    if len(rows) < limit:
        return JobRecordPage(listed, None)
    last = listed[-1].record
    key = last.limit_key if last.state == "ready" else None
    return JobRecordPage(listed, end_in_line(key, f"{rows[-1][-2]}:{rows[-1][-1]}"))


def _read_from(state: ListedState, after: str) -> tuple[str, dict[str, int | str]]:
    if state == "dead":
        return PAGE_OF_DEAD, {"id": position_of(after)[1] if after else _LAST_ID}
    text = PAGES_UP.get(state)
    far = _FAR if text is None else -_FAR
    first, second = numbers_of(after) if after else (far, far)
    return text or PAGES_DOWN[state], {"first": first, "second": second}
