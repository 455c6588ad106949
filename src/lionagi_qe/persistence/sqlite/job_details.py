"""What a job waits for and belongs to, in SQLite: four look-ups in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.job_details import LINK_STATES, JobDetails

if TYPE_CHECKING:
    import apsw

_JOB = """
SELECT CASE WHEN state IN (0, 2, 3, 5) THEN due_ms END, dedupe,
    CASE WHEN links & 8 THEN id ELSE (
        SELECT batch FROM job_batch_jobs m WHERE m.fleet = jobs.fleet AND m.id = jobs.id
    ) END
FROM jobs
WHERE fleet = :fleet AND id = :id AND queue = :queue AND (state NOT IN (3, 5) OR due_ms > :now)
"""
_BEFORE = "SELECT before, state FROM job_dependencies WHERE fleet = :fleet AND id = :id ORDER BY 1"


def details_of(connection: apsw.Connection, bound: dict[str, Any]) -> JobDetails | None:
    """Return them; None for a job that isn't known, or not kept any more."""
    row: Any = connection.execute(_JOB, bound).get
    if row is None:
        return None
    before: Any = connection.execute(_BEFORE, bound)
    due_ms, dedupe, batch_id = row
    after = tuple((job_id, LINK_STATES[state]) for job_id, state in before)
    return JobDetails(due_ms, dedupe, batch_id, after)
