"""Claim jobs from a queue and report on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lionagi_qe.agents.llm.action import Action, AnyJson, Arguments, failure
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.deprecation import renamed
from lionagi_qe.persistence.values.glob import escape_glob

if TYPE_CHECKING:
    from lionagi_qe.coordination import Job
    from lionagi_qe.persistence import Memory

# A model takes its time; whoever dies meanwhile holds the job up for no longer than this.
DEFAULT_LEASE_TTL = 600.0


class Claim(Arguments):
    """Arguments of work_claim: none."""


class Report(Arguments):
    """Arguments of work_report."""

    job: str = Field(description="The job's id, as work_claim told it.")
    outcome: Literal["done", "failed"] = Field(description="Whether the job was done.")
    result: AnyJson = Field(
        default=None, description="The result; of a failed job, what went wrong."
    )


@renamed(lease="lease_ttl")
def work_actions(
    memory: Memory, queue: str, *, lease_ttl: float = DEFAULT_LEASE_TTL
) -> list[Action[Any]]:
    """Return the actions by which a model takes jobs of ``queue`` and ends them.

    A job that is not reported within ``lease_ttl`` seconds goes to another worker.
    """
    scope = memory.scoped("work tools", queues=[escape_glob(queue)])
    desk = _Desk(WorkQueue(scope, queue), lease_ttl)
    return [
        Action(
            "work_claim",
            f"Take the next job of the queue {queue!r}; report on it with work_report within "
            f"{lease_ttl:g} seconds.",
            Claim,
            desk.claim,
            writes=True,
        ),
        Action(
            "work_report",
            "Report how a job that was taken with work_claim ended.",
            Report,
            desk.report,
            writes=True,
            quotes=False,
        ),
    ]


class _Desk:
    def __init__(self, queue: WorkQueue, lease_ttl: float) -> None:
        self._queue = queue
        self._lease_ttl = lease_ttl
        self._claimed: dict[str, Job] = {}

    async def claim(self, _: Claim) -> dict[str, Any]:
        jobs = await self._queue.claim(lease_ttl=self._lease_ttl)
        if not jobs:
            return {"job": None}
        job = self._claimed[jobs[0].id] = jobs[0]
        return {
            "job": job.id,
            "payload": job.payload,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
        }

    async def report(self, asked: Report) -> dict[str, Any]:
        job = self._claimed.get(asked.job)
        if job is None:
            return failure(
                "UnknownJob", f"job {asked.job!r}: is not one that work_claim told and is open"
            )
        try:
            told = await self._end(job, asked)
        finally:
            # It stays open where the server could not be reached.
            if job.ended or job.lost:
                del self._claimed[job.id]
        return told

    async def _end(self, job: Job, asked: Report) -> dict[str, Any]:
        if asked.outcome == "done":
            await job.ack(asked.result)
            return {"job": job.id, "ended": "done"}
        again = await job.fail("failed" if asked.result is None else str(asked.result))
        return {"job": job.id, "ended": "failed", "tried_again": again}
