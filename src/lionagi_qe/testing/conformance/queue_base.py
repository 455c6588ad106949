"""What the queue's conformance classes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job
    from lionagi_qe.persistence import Memory

LONG = 60.0
SHORT = 0.2
# Of jobs that are kept: a busy machine may leave their worker without a turn for a while.
HELD = 1.5


def queue_of(memory: Memory, name: str = "jobs", **settings: Any) -> WorkQueue:
    """Return a queue whose failed jobs come back at once."""
    settings.setdefault("backoff", at_once)
    return WorkQueue(memory, name, **settings)


def at_once(_attempt: int) -> float:
    """Let a failed job come back at once."""
    return 0.0


def much_later(_attempt: int) -> float:
    """Let a failed job come back after the test."""
    return LONG


async def claim_one(queue: WorkQueue, lease_ttl: float = LONG) -> Job:
    """Claim the next job, which is expected to come."""
    (job,) = await queue.claim(lease_ttl=lease_ttl, wait=LONG)
    return job
