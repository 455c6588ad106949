"""Texts of jobs in SQLite, exchanged for the same sealed anew: one transaction a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from lionagi_qe.persistence.contract.sealed_texts import JobText, TextExchange

_JOB = """
UPDATE jobs SET {text} = :new
WHERE fleet = :fleet AND id = :id AND queue = :queue AND {text} = :old
"""
_EXCHANGE: dict[JobText, str] = {
    "payload": _JOB.format(text="payload"),
    "outcome": _JOB.format(text="outcome"),
    "progress": _JOB.format(text="progress"),
    "failures": _JOB.format(text="failures"),
    "before": """
UPDATE job_dependencies SET outcome = :new
WHERE fleet = :fleet AND id = :id AND before = :before AND state = 1 AND outcome = :old
""",
    "member": """
UPDATE job_batch_jobs SET outcome = :new
WHERE fleet = :fleet AND id = :id AND batch = :before AND outcome = :old
""",
}
_KEPT = """
SELECT id, before, outcome FROM job_dependencies WHERE fleet = :fleet AND id = :id AND state = 1
"""


def exchange(
    connection: apsw.Connection, bound: dict[str, Any], exchanges: Sequence[TextExchange]
) -> int:
    """Exchange texts that are as they were read; return how many."""
    exchanged = 0
    for job_id, text, old, new, before in exchanges:
        more = {"id": job_id, "old": old, "new": new, "before": before}
        connection.execute(_EXCHANGE[text], {**bound, **more})
        exchanged += connection.changes()
    return exchanged


def results_kept(
    connection: apsw.Connection, bound: dict[str, Any], job_ids: Sequence[str]
) -> list[tuple[str, str, bytes | str]]:
    """Return the results that are kept with these jobs."""
    found: list[tuple[str, str, bytes | str]] = []
    for job_id in job_ids:
        rows: Any = connection.execute(_KEPT, {**bound, "id": job_id})
        found += rows
    return found
