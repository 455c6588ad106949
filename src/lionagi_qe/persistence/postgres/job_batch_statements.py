"""The SQL that looks at batches of jobs; see ``statements`` for its rules."""

from __future__ import annotations

_BATCH = """
SELECT b.id, CASE WHEN j.state = 2 AND j.cancel_ms IS NOT NULL THEN 6 ELSE j.state END,
    b.succeeded, b.pending, b.done, b.dead, b.cancelled, b.created_ms
FROM {schema}.job_batches b CROSS JOIN LATERAL (
    SELECT o.state, o.cancel_ms FROM {schema}.jobs o WHERE o.fleet = $1 AND o.id = b.id LIMIT 1
) AS j
WHERE b.fleet = $1 AND b.queue = $2 AND (b.until_at IS NULL OR b.until_at > now())
"""

JOB_BATCH_TEXTS = {
    "find_batch": f"{_BATCH} AND b.id = $3",
    "list_batches": f"{_BATCH} AND b.id < $3 ORDER BY b.id DESC LIMIT $4",
    "batch_jobs": """
SELECT m.id, m.state, m.outcome FROM {schema}.job_batch_jobs m
WHERE m.fleet + 0 = $1 AND m.batch = $3 AND m.queue = $2 AND m.id > $4
    AND (m.state = 0 OR NOT $6::boolean)
ORDER BY m.id LIMIT $5
""",
}
