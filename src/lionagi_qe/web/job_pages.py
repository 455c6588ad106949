"""One job: its state, payload, attempts, progress, result or error, and what it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.web.console import asked, memory_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def job(request: Request) -> Response:
    """Show a job of a queue by its id."""
    name, job_id = asked(request, "name"), asked(request, "id").strip()
    details = await WorkQueue(memory_of(request), name).details(job_id)
    return render(
        request,
        "job.html",
        status=200 if details is not None else 404,
        name=name,
        job_id=job_id,
        job=None if details is None else details.status,
        details=details,
    )
