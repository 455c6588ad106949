"""Projects: how figures went from run to run, and what became of each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.fleet.key_segments import segment
from lionagi_qe.fleet.trends import points, runs_of
from lionagi_qe.web.console import entries_after, memory_of
from lionagi_qe.web.overview import projects_of
from lionagi_qe.web.rendering import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.fleet.trends import PastRun

_LAST_RUNS = 40


async def projects(request: Request) -> Response:
    """List the projects that runs were kept of."""
    return render(request, "projects.html", projects=await projects_of(memory_of(request)))


async def project(request: Request) -> Response:
    """Show a project's figures over its last runs, and a page of its tests."""
    name, after = request.query_params["name"], request.query_params.get("after", "")
    memory = memory_of(request)
    runs = (await runs_of(memory, name))[-_LAST_RUNS:]
    tests, behind = await entries_after(memory, f"aqe/tests/{name}/", after)
    return render(
        request,
        "project.html",
        status=200 if runs or tests else 404,
        name=name,
        runs=list(reversed(runs)),
        series=_series(runs),
        tests=[_test(each.value) for each in tests],
        after=behind,
    )


def _series(runs: Sequence[PastRun]) -> list[dict[str, Any]]:
    names = dict.fromkeys(
        metric.name for run in runs for metrics in run.metrics.values() for metric in metrics
    )
    found: list[dict[str, Any]] = []
    for name in names:
        course = points(runs, name)
        values = [point.value for point in course]
        # What was 0 each time, or is no number, has no course worth a line.
        if any(values):
            last = course[-1].metric
            found.append({"name": name, "values": values, "last": last, "run": course[-1].run})
    return found


async def test(request: Request) -> Response:
    """Show what became of a test in its last 50 runs."""
    name, test_id = request.query_params["project"], request.query_params["id"]
    kept = await memory_of(request).retrieve(f"aqe/tests/{name}/{segment(test_id)}")
    return render(
        request,
        "test.html",
        status=200 if kept is not None else 404,
        project=name,
        test_id=test_id,
        test=None if kept is None else _test(kept),
    )


def _test(value: Mapping[str, Any]) -> dict[str, Any]:
    records = value["records"]
    bad = [record for record in records if record["outcome"] in BAD]
    failing_since = None
    for record in reversed(records):
        if record["outcome"] not in BAD:
            break
        failing_since = record["run"]
    return {
        "id": value["id"],
        "records": list(reversed(records)),
        "outcome": records[-1]["outcome"],
        "seconds": [record["seconds"] for record in records],
        "first_failed": bad[0]["run"] if bad else None,
        "failed": len(bad),
        "failing_since": failing_since,
    }
