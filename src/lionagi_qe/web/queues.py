"""Queues, their dead jobs and single jobs; giving dead jobs another chance, or removing them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.web.console import PAGE, memory_of
from lionagi_qe.web.overview import queues_of
from lionagi_qe.web.rendering import go_to, render

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence.contract.jobs import JobRecord

_GROUPED = 500
_LONGEST_REASON = 120


async def queues(request: Request) -> Response:
    """List the queues with the counts of their jobs."""
    return render(request, "queues.html", queues=await queues_of(memory_of(request)))


async def queue(request: Request) -> Response:
    """Show a queue: counts, why jobs died, and a page of dead ones."""
    name, after = request.query_params["name"], request.query_params.get("after", "")
    found = WorkQueue(memory_of(request), name)
    dead = await found.dead(PAGE, after)
    first = dead if not after and len(dead) < PAGE else await found.dead(_GROUPED)
    reasons = Counter(_reason(job.error) for job in first)
    return render(
        request,
        "queue.html",
        name=name,
        counts=await found.stats(),
        dead=dead,
        reasons=reasons.most_common(),
        grouped=len(first),
        after=dead[-1].id if len(dead) == PAGE else None,
    )


def _reason(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:_LONGEST_REASON] if lines else "no reason given"


async def job(request: Request) -> Response:
    """Show one job: its state, payload, attempts, and its result or last error."""
    name, job_id = request.query_params["name"], request.query_params["id"].strip()
    (record,) = await parts_of(memory_of(request)).jobs.find(name, [job_id])
    return render(
        request,
        "job.html",
        status=200 if record is not None else 404,
        name=name,
        job_id=job_id,
        job=None if record is None else _shown(record),
    )


def _shown(record: JobRecord) -> dict[str, Any]:
    return {
        "state": record.state,
        "priority": record.priority,
        "attempts": record.attempts,
        "max_attempts": record.max_attempts,
        "created_at": datetime.fromtimestamp(record.created_ms / 1000, UTC),
        "payload": decode(record.payload),
        "outcome": None if record.outcome is None else decode(record.outcome),
    }


async def change_dead(request: Request, form: FormData) -> Response:
    """Retry or purge the chosen dead jobs, or all of a queue."""
    name = request.query_params["name"]
    found = WorkQueue(memory_of(request), name)
    chosen = None if "all" in form else [str(each) for each in form.getlist("id")]
    if form.get("act") == "purge":
        await found.purge_dead(chosen)
    else:
        await found.retry_dead(chosen)
    return go_to(request, "/queue", name=name)
