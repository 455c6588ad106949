"""Projects: how figures went from run to run, and what became of each test."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.fleet.key_segments import segment
from lionagi_qe.fleet.trends import last_runs, points
from lionagi_qe.web.console import PAGE, asked, memory_of
from lionagi_qe.web.failures import failure_of, failures_of
from lionagi_qe.web.overview import projects_of
from lionagi_qe.web.refusals import allowed, refused_of
from lionagi_qe.web.rendering import render
from lionagi_qe.web.untested import untested_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.fleet.trends import PastRun
    from lionagi_qe.persistence import Memory

_LAST_RUNS = 40
# Those that people look for first; the others follow by name.
_FIRST = (
    "gate",
    "line_coverage",
    "branch_coverage",
    "tests_passed",
    "tests_failed",
    "test_seconds",
)
_TEST_PAGE = 500
_MOST_PAGES = 8


async def projects(request: Request) -> Response:
    """List the projects that runs were kept of."""
    names = await allowed(request, projects_of(memory_of(request)), [])
    return render(request, "projects.html", projects=names)


async def project(request: Request) -> Response:
    """Show a project's figures over its last runs, and a page of its tests."""
    memory, name = memory_of(request), asked(request, "name")
    begin, after = request.query_params.get("tests", ""), request.query_params.get("after", "")
    only_bad = request.query_params.get("show") == "failing"
    runs, (tests, behind) = await asyncio.gather(
        allowed(request, last_runs(memory, name, _LAST_RUNS), []),
        allowed(
            request,
            _tests(memory, f"aqe/tests/{name}/", begin, after, only_bad=only_bad),
            ([], None),
        ),
    )
    series = _series(runs)
    failures = await allowed(request, failures_of(memory, name, runs), None)
    return render(
        request,
        "project.html",
        status=200 if runs or tests else 403 if refused_of(request) else 404,
        name=name,
        runs=list(reversed(runs)),
        failures=failures,
        untested=untested_of(runs),
        series=[each for each in series if each["name"] in _FIRST] or series,
        further=[each for each in series if each["name"] not in _FIRST],
        tests=tests,
        begin=begin,
        only_bad=only_bad,
        after=behind,
    )


async def _tests(
    memory: Memory, folder: str, begin: str, after: str, *, only_bad: bool
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of tests whose ids begin so, and behind which key the next one goes on."""
    found: list[dict[str, Any]] = []
    looked = 0
    prefix = f"{folder}{segment(begin)}" if begin else folder
    size = _TEST_PAGE if only_bad else PAGE
    async for entry in memory.scan(prefix, size, after=after or None):
        looked += 1
        test = _test(entry.value)
        if test is not None and (test["is_bad"] or not only_bad):
            found.append(test)
        if len(found) == PAGE or looked == _MOST_PAGES * _TEST_PAGE:
            return found, entry.key
    return found, None


def _series(runs: Sequence[PastRun]) -> list[dict[str, Any]]:
    names = dict.fromkeys(
        metric.name for run in runs for metrics in run.metrics.values() for metric in metrics
    )
    found: list[dict[str, Any]] = []
    for name in sorted(names, key=_rank):
        course = points(runs, name)
        values = [point.value for point in course]
        last = course[-1].metric
        # What was 0 each time, or is no number, has no course worth a line.
        if any(values):
            before = course[-2] if len(course) > 1 else None
            found.append({"name": name, "values": values, "last": last, "before": before})
    return found


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST)), name


async def test(request: Request) -> Response:
    """Show what became of a test in its last 50 runs."""
    memory = memory_of(request)
    name, test_id = asked(request, "project"), asked(request, "id")
    kept, flaky = await asyncio.gather(
        allowed(request, memory.retrieve(f"aqe/tests/{name}/{segment(test_id)}"), None),
        allowed(request, memory.retrieve(f"aqe/flaky/{name}/{segment(test_id)}"), None),
    )
    test = _test(kept)
    failure = None
    if test is not None and test["is_bad"]:
        run = test["failing_in"]
        failure = await allowed(request, failure_of(memory, name, run, test_id), None)
    return render(
        request,
        "test.html",
        status=200 if kept is not None else 403 if refused_of(request) else 404,
        project=name,
        test_id=test_id,
        test=test,
        failure=failure,
        hunts=_hunts(flaky),
    )


def _test(value: Any) -> dict[str, Any] | None:  # noqa: ANN401 - whatever lies there
    """Return a test's history as it is shown; None of what is none."""
    try:
        test_id = str(value["id"])
        records = [_record(each) for each in value["records"]]
        last = records[-1]
    except (KeyError, IndexError, TypeError):
        return None
    bad = [record for record in records if record["outcome"] in BAD]
    failing = list(takewhile(lambda record: record["outcome"] in BAD, reversed(records)))
    return {
        "id": test_id,
        "records": list(reversed(records)),
        "outcome": last["outcome"],
        "seconds": [record["seconds"] for record in records],
        "first_failed": bad[0]["run"] if bad else None,
        "failed": len(bad),
        "failing_since": failing[-1]["run"] if failing else None,
        "failing_runs": len(failing),
        "failing_in": last["run"],
        "is_bad": last["outcome"] in BAD,
    }


def _record(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever lies there
    seconds = value["seconds"]
    return {
        "run": str(value["run"]),
        "outcome": str(value["outcome"]),
        "seconds": seconds if isinstance(seconds, int | float) else None,
    }


def _hunts(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever lies there
    hunts = value.get("hunts") if isinstance(value, dict) else None
    found = hunts if isinstance(hunts, list) else []
    return [each for each in reversed(found) if isinstance(each, dict) and "run" in each]
