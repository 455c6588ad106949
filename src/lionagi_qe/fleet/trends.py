"""Earlier runs of a project, as the memory holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.metric import Metric
from lionagi_qe.fleet.key_segments import project_segment
from lionagi_qe.nearest import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence import Memory


_MOST_PROJECTS = 200
# Older than any run: some hundred years.
_ALL_HOURS = 1e6
_VERDICTS = {"passed": 1, "failed": 0}


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run: its id, which sorts by time, and the figures of each agent."""

    id: str
    metrics: dict[str, list[Metric]] = field(default_factory=dict[str, list[Metric]])


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of one run; ``value`` is a number, or None where it was not measured.

    A gate's is 1 if it passed and 0 if not.
    """

    run: str
    value: float | None
    metric: Metric


async def other_projects(memory: Memory, project: str) -> str | None:
    """Return in words whose runs a memory has, where a project is not among them; else None."""
    root, own = "aqe/runs/", project_segment(project)
    found = await memory.list_children(root, limit=_MOST_PROJECTS)
    names = [name.removeprefix(root)[:-1] for name in found if name.endswith("/")]
    if own in names or not names:
        return None
    return f"no run of {project!r} is there; {meant(own, names, 'there are runs of ')}"


async def runs_of(memory: Memory, project: str) -> list[PastRun]:
    """Return all runs of a project, the oldest first; costs a scan of their figures."""
    prefix = f"aqe/runs/{project_segment(project)}/"
    runs: dict[str, PastRun] = {}
    async for entry in memory.scan(prefix):
        _add(runs, entry.key.removeprefix(prefix), entry.value)
    return [runs[name] for name in sorted(runs)]


async def findings_of(memory: Memory, project: str, run: PastRun) -> dict[str, Findings]:
    """Return what a run found, as far as its figures and the tests' histories tell."""
    name = project_segment(project)
    outcomes = [
        {"id": entry.value["id"], "outcome": record["outcome"]}
        async for entry in memory.scan(f"aqe/tests/{name}/")
        for record in entry.value["records"]
        if record["run"] == run.id
    ]
    found = {agent: Findings(agent, tuple(metrics)) for agent, metrics in run.metrics.items()}
    if "test-executor" in found:
        found["test-executor"] = _with_tests(found["test-executor"], outcomes)
    return found


def latest_run(runs: Sequence[PastRun]) -> PastRun | None:
    """Return the last one that was to run tests, also if that failed; None if none was.

    Others, such as a hunt for flaky tests, state only a part of what a gate asks for.
    """
    return next((run for run in reversed(runs) if "test-executor" in run.metrics), None)


def points(runs: Iterable[PastRun], name: str) -> list[Point]:
    """Return a figure in the runs that state it; a list counts by its length."""
    return [
        Point(run.id, _number(metric), metric)
        for run in runs
        for metrics in run.metrics.values()
        for metric in metrics
        if metric.name == name
    ]


def _number(metric: Metric) -> float | None:
    value = len(metric.value) if isinstance(metric.value, list) else metric.value
    value = _VERDICTS.get(value, value) if isinstance(value, str) else value
    return value if isinstance(value, int | float) and metric.measured else None


def _with_tests(findings: Findings, outcomes: list[dict[str, str]]) -> Findings:
    """Add the details that the gate reads: they are not stored as such."""
    counts = {metric.name: metric.value or 0 for metric in findings.metrics}
    broken, left = counts.get("collection_errors", 0), counts.get("tests_not_run", 0)
    bad = sum(counts.get(f"tests_{each}", 0) for each in ("failed", "errors", "interrupted"))
    details = {
        "tests": outcomes,
        "missing": {},
        "uncollectable": {f"{broken} test files can't be collected": ""} if broken else {},
        "complete": left == 0,
        "ended": f"left {left} tests out",
        "exit_code": 1 if bad else 0,
    }
    return Findings(findings.agent, findings.metrics, details)


async def last_runs(memory: Memory, folder: str, count: int) -> list[PastRun]:
    """Return the last runs of a project, the oldest first.

    Costs what they and a few times as many hold, however many there are: ids of runs begin with
    the time, so that ever longer spans of it are looked through.

    Args:
        memory: where runs are kept.
        folder: the project's name as a segment of keys.
        count: how many.

    """
    prefix = f"aqe/runs/{folder}/"
    hours = 1.0
    while True:
        begin = datetime.now(UTC) - timedelta(hours=hours)
        is_all = hours > _ALL_HOURS
        after = None if is_all else f"{prefix}{begin:%Y%m%dT%H%M%S}"
        found = [
            name for name in await memory.list_children(prefix, after=after) if name[-1] == "/"
        ]
        if is_all or len(found) >= count:
            break
        hours *= 4
    runs: dict[str, PastRun] = {}
    if not found:
        return []
    async for entry in memory.scan(prefix, after=found[-count:][0].removesuffix("/")):
        _add(runs, entry.key.removeprefix(prefix), entry.value)
    return [runs[name] for name in sorted(runs)]


def _add(runs: dict[str, PastRun], place: str, value: dict[str, Any]) -> None:
    parts = place.split("/")
    if len(parts) == 3:  # noqa: PLR2004 - run, agent, metric
        run, agent, _ = parts
        try:
            metric = Metric(**value)
        except TypeError:
            # Somebody else's: it takes none of the others from who looks.
            return
        runs.setdefault(run, PastRun(run)).metrics.setdefault(agent, []).append(metric)
