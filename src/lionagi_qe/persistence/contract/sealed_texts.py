"""The contract of exchanging what is sealed in queues and leases for the same, sealed anew.

Nothing else changes: no state, claim, time, place in line or version of a schedule. A text that is
no longer as it was read stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from lionagi_qe.persistence.contract.jobs import JobBackend
from lionagi_qe.persistence.contract.leases import LeaseBackend
from lionagi_qe.persistence.contract.schedules import ScheduleBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

JobText = Literal["payload", "outcome", "progress", "failures", "before", "member"]


class TextExchange(NamedTuple):
    """Exchange a text of a job.

    Attributes:
        before: of the text "before", the result of another job that is kept with this one: that
            job's id. Of "member", what the job's batch keeps of it: the batch's.
    """

    job_id: str
    text: JobText
    old: bytes
    new: bytes
    before: str = ""


class ResealableJobs(JobBackend, Protocol):
    """Queues whose texts can be exchanged; each call is atomic and takes one round trip."""

    async def exchange(self, queue: str, exchanges: Sequence[TextExchange]) -> int:
        """Exchange texts that are as they were read; return how many.

        One whose job somebody is changing just then may be left as well.
        """
        ...

    async def results_kept(
        self, queue: str, job_ids: Sequence[str]
    ) -> list[tuple[str, str, bytes | str]]:
        """Return of each result that is kept with a job: that job's id, whose it is, and it."""
        ...


class ResealableSchedules(ScheduleBackend, Protocol):
    """Schedules whose specs can be exchanged."""

    async def exchange(self, queue: str, name: str, old: str, new: str) -> bool:
        """Exchange a spec that is as it was read; return whether it was."""
        ...


class ResealableLeases(LeaseBackend, Protocol):
    """Leases whose holders' names can be exchanged."""

    async def exchange(self, name: str, old: str, new: str) -> bool:
        """Exchange the holder of a lease that is held as it was read; return whether it was."""
        ...
