"""What the fleet learned, and whether it pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.choices import CHOICES, KINDS, Choices
from lionagi_qe.learning.names import name_of
from lionagi_qe.learning.ordering import ORDERS, TestOrdering
from lionagi_qe.learning.qtable import TABLES, QTable
from lionagi_qe.web.console import memory_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.persistence import Memory

_MOST = 100


async def learning(request: Request) -> Response:
    """List what was learned of, and show a project's reports or an agent's values if one is named.

    A report costs a scan of the decisions of the last year.
    """
    memory = memory_of(request)
    project, agent = request.query_params.get("project"), request.query_params.get("agent")
    projects = {*await _names(memory, ORDERS), *await _names(memory, CHOICES)}
    return render(
        request,
        "learning.html",
        projects=sorted(projects),
        agents=await _names(memory, TABLES),
        project=project,
        agent=agent,
        reports=await _reports(memory, project) if project else [],
        states=await _states(memory, agent) if agent else {},
    )


async def _names(memory: Memory, folder: str) -> list[str]:
    found = await memory.list_children(folder, limit=_MOST)
    return sorted({name_of(name.removeprefix(folder).rstrip("/")) for name in found})


async def _reports(memory: Memory, project: str) -> list[dict[str, Any]]:
    subjects: dict[str, TestOrdering | Choices] = {"order of tests": TestOrdering(memory, project)}
    subjects |= {kind: Choices(memory, project, kind) for kind in KINDS}
    reports: list[dict[str, Any]] = []
    for name, subject in subjects.items():
        report = await subject.report()
        if report.decisions:
            reports.append(
                {
                    "name": name,
                    "report": report,
                    "acting": await subject.acting(),
                    "because": await subject.switched_because(),
                }
            )
    return reports


async def _states(memory: Memory, agent: str) -> dict[str, Any]:
    return (await QTable(memory, agent).export())["states"]
