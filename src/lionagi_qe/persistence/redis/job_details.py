"""What a job waits for and belongs to, in Redis: one script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.job_details import LINK_STATES, JobDetails

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.job_details import LinkState


def details_of(flat: list[Any]) -> JobDetails | None:
    """Return what the script found."""
    if not flat:
        return None
    due, dedupe, batch_id, *before = flat
    after: dict[str, LinkState] = {
        job_id.decode(): LINK_STATES[int(state)]
        for job_id, state in zip(before[::2], before[1::2], strict=True)
    }
    return JobDetails(
        int(due) or None,
        dedupe.decode() or None,
        batch_id.decode() or None,
        tuple(sorted(after.items())),
    )
