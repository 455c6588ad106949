"""One job looked at closely: how it stands, what it waits for, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lionagi_qe.coordination.schedules import scheduled_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.coordination.queue_state import JobStatus
    from lionagi_qe.persistence.contract.job_details import JobDetails as Found
    from lionagi_qe.persistence.contract.job_details import LinkState


@dataclass(frozen=True, slots=True)
class JobDetails:
    """A job as it was when asked for, with what it waits for and belongs to.

    Attributes:
        status: how it stands.
        due_at: when its delay or its claim ends; of a done or cancelled job, when it is forgotten;
            None in other states.
        dedupe: the key that it was put with; None for none, and for one that another job took.
        batch_id: the batch that it is of, or whose callback it is; None for none.
        after: the id of each job that it comes after, and what became of that: "waiting" until it
            ends, "done", or "failed" if it is dead or cancelled. Empty once this one is done or
            cancelled.
        schedule: the schedule that put it; None for none, and for one that is not there any more.
        scheduled_for: the time for which a schedule put it, UTC.
    """

    status: JobStatus
    due_at: datetime | None
    dedupe: str | None
    batch_id: str | None
    after: Mapping[str, LinkState]
    schedule: str | None
    scheduled_for: datetime | None


def job_details(status: JobStatus, found: Found, schedule: str | None) -> JobDetails:
    """Return what is known of a job as people ask for it."""
    due = None if found.due_ms is None else datetime.fromtimestamp(found.due_ms / 1000, UTC)
    # A line break is in no key of a user's: it is that of a schedule whose jobs don't overlap.
    dedupe = None if found.dedupe is None or "\n" in found.dedupe else found.dedupe
    return JobDetails(
        status,
        due,
        dedupe,
        found.batch_id,
        dict(found.after),
        schedule,
        scheduled_for(status.id),
    )
