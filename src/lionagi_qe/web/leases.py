"""The leases that are held; ending one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.coordination import Lease, held_leases
from lionagi_qe.web.console import PAGE, memory_of
from lionagi_qe.web.rendering import go_to, render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.web.forms import Form


async def leases(request: Request) -> Response:
    """List who holds which lease, a page at a time, by name."""
    found = await held_leases(memory_of(request), PAGE, request.query_params.get("after", ""))
    after = found[-1].name if len(found) == PAGE else None
    return render(request, "leases.html", leases=found, after=after)


async def revoke(request: Request, form: Form) -> Response:
    """End a lease, whoever holds it, if that is confirmed."""
    name = form.first("name")
    if not form.first("confirmed"):
        return render(request, "revoke.html", name=name)
    await Lease(memory_of(request), name).revoke()
    return go_to(request, "/leases")
