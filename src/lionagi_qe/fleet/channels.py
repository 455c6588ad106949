"""How a commander and its workers find each other: one queue and one group for those alike.

Workers of another release, operating system or Python don't see the jobs: what they measured would
be of another kind.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lionagi_qe import __version__
from lionagi_qe.coordination import Presence, WorkQueue, exponential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.coordination import Member
    from lionagi_qe.persistence import Memory

MAX_ATTEMPTS = 3
# Of a job: a worker that died is noticed after that time at the latest.
LEASE_SECONDS = 10.0
PRESENCE_SECONDS = 6.0
_RESULT_SECONDS = 24 * 3600.0


def name() -> str:
    """Return the name that workers and commanders of one kind share."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"aqe-{__version__}-{sys.platform}-py{python}"


def queue_of(memory: Memory) -> WorkQueue:
    """Return the queue of examinations."""
    return WorkQueue(
        memory,
        name(),
        max_attempts=MAX_ATTEMPTS,
        backoff=exponential(0.5, 5.0),
        result_ttl=_RESULT_SECONDS,
    )


def presence_of(memory: Memory, worker: str) -> Presence:
    """Return what shows that a worker is there."""
    return Presence(memory, worker, ttl=PRESENCE_SECONDS, group=name())


async def workers_of(memory: Memory) -> Sequence[Member]:
    """Return the workers that are alive; one scan of their names."""
    return await presence_of(memory, "nobody").alive()
