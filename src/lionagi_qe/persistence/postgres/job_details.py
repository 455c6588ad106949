"""What a job waits for and belongs to, in PostgreSQL: one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.job_details import LINK_STATES, JobDetails

if TYPE_CHECKING:
    from collections.abc import Sequence

JOB_DETAILS = {
    "job_details": """
SELECT CASE WHEN j.state IN (0, 2, 3, 5) THEN (extract(epoch FROM j.due_at) * 1000)::bigint END,
    j.dedupe,
    CASE WHEN j.links & 8 > 0 THEN j.id ELSE (
        SELECT m.batch FROM {schema}.job_batch_jobs m WHERE m.fleet = $1 AND m.id = j.id
    ) END,
    ARRAY (SELECT d.before FROM {schema}.job_dependencies d
        WHERE d.fleet = $1 AND d.id = j.id ORDER BY d.before),
    ARRAY (SELECT d.state FROM {schema}.job_dependencies d
        WHERE d.fleet = $1 AND d.id = j.id ORDER BY d.before)
FROM {schema}.jobs AS j
WHERE j.fleet = $1 AND j.queue = $2 AND j.id = $3 AND (j.state NOT IN (3, 5) OR j.due_at > now())
""",
}


def details_of(rows: Sequence[Any]) -> JobDetails | None:
    """Return what the statement found."""
    for due_ms, dedupe, batch_id, before, states in rows:
        after = zip(before, (LINK_STATES[state] for state in states), strict=True)
        return JobDetails(due_ms, dedupe, batch_id, tuple(after))
    return None
