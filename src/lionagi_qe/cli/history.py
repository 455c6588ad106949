"""``aqe history PATH``: how each figure went from run to run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.cli.examination import check_writable, memory_option, path_argument, request_of
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.display import unit_of
from lionagi_qe.errors import MemoryMissingError
from lionagi_qe.fleet.registry import all_agents, check_metrics
from lionagi_qe.fleet.report.trend import chart, check_png, sparkline, write_png
from lionagi_qe.fleet.trends import PastRun, Point, other_projects, points, runs_of
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from lionagi_qe.fleet.request import Request


@click.command
@path_argument
@click.argument("metrics", nargs=-1)
@memory_option
@quiet_option
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    metavar="N",
    help="How many runs to look back.",
)
@click.option(
    "--png", type=click.Path(path_type=Path), metavar="FILE", help="Draw a chart; needs matplotlib."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def history(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    metrics: tuple[str, ...],
    memory_url: str | None,
    last: int,
    png: Path | None,
    as_document: bool,
) -> int:
    """Show how METRICS of the project in the directory PATH went; all that were kept by default.

    Each line has the figure's course, its last value, and what measured that; those that the last
    run changed come first. A dot stands for a run in which it was not measured. Figures that were
    always 0 are named in one line, and a reason is told once.
    """
    if not path.exists() and any(str(path) in agent.metrics for agent in all_agents()):
        # PATH was left out, as it may be elsewhere.
        metrics, path = (str(path), *metrics), Path()
    check_metrics(metrics)
    if png is not None:
        check_png()
        check_writable("--png", png)
    request = request_of(path, agents=[], python=None, memory_url=memory_url)
    with telling("reading runs"):
        runs, reason = run_until_told(_runs(request))
    series = _series(runs[-last:], metrics)
    if not series:
        _complain(request, metrics, reason)
        if as_document:
            _show_document(request, series)
        return Exit.NOT_MEASURED
    if png is not None:
        write_png(series, png, request.project)
    if as_document:
        _show_document(request, series)
    else:
        _print(series, large=bool(metrics))
    return Exit.PASSED


def _show_document(request: Request, series: dict[str, list[Point]]) -> None:
    show_json(
        {
            "project": request.project,
            "metrics": {
                name: [{"run": point.run, **asdict(point.metric)} for point in found]
                for name, found in series.items()
            },
        }
    )


def _complain(request: Request, metrics: tuple[str, ...], reason: str | None) -> None:
    what = f"figures called {' or '.join(metrics)}" if metrics else "figures"
    why = "" if reason is None else f" ({reason})"
    where = f"{request.shown_url}, fleet {request.fleet}"
    mention(f"aqe: no {what} of {request.project!r} are in {where}{why}")


async def _runs(request: Request) -> tuple[list[PastRun], str | None]:
    """Return earlier runs, and why there are none where the memory isn't there or isn't ours."""
    try:
        async with open_memory(request.memory_url, fleet=request.fleet, migrate=False) as memory:
            runs = await runs_of(memory, request.project)
            return runs, None if runs else await other_projects(memory, request.project)
    except MemoryMissingError as error:
        return [], f"{str(error).partition(';')[0]}; start with aqe run"


def _series(runs: list[PastRun], wanted: tuple[str, ...]) -> dict[str, list[Point]]:
    """Return the figures that were a number at least once, or those that were asked for."""
    names = wanted or tuple(name for agent in all_agents() for name in agent.metrics)
    found = {name: points(runs, name) for name in names}
    return {
        name: each
        for name, each in found.items()
        if each and (wanted or any(point.value is not None for point in each))
    }


def _print(series: dict[str, list[Point]], *, large: bool) -> None:
    if large:
        _print_lines(series, large=True)
        return
    zeros = [name for name, found in series.items() if {point.value for point in found} == {0}]
    moved = {name: found for name, found in series.items() if _has_moved(found)}
    others = {name: found for name, found in series.items() if name not in {*zeros, *moved}}
    for title, group in (("changed by the last run", moved), ("as before", others)):
        if group and moved:
            say(f"{title}:")
        _print_lines(group, large=False)
    if zeros:
        say(f"0 in all runs: {', '.join(zeros)}")


def _has_moved(found: list[Point]) -> bool:
    return len(found) > 1 and found[-1].metric.value != found[-2].metric.value


def _print_lines(series: dict[str, list[Point]], *, large: bool) -> None:
    width = max(map(len, series), default=0)
    unmeasured: dict[str, list[str]] = {}
    for name, found in series.items():
        last = found[-1].metric
        if found[-1].value is None and not large:
            unmeasured.setdefault(str(last.reason), []).append(name)
            continue
        source = f"[{last.measured_by}]" if last.measured else ""
        line = sparkline([point.value for point in found])
        say(f"{name:<{width}}  {line}  {_said(found)}  {source}".rstrip())
        if large:
            for row in chart(found, last.unit):
                say(row)
    for reason, names in unmeasured.items():
        say(f"not measured by the last run: {', '.join(names)}: {reason}")


def _said(found: list[Point]) -> str:
    point = found[-1]
    metric = point.metric
    if point.value is None:
        return f"not measured: {metric.reason}"
    if isinstance(metric.value, str):
        return metric.value
    before = found[-2].value if _has_moved(found) else None
    was = "" if before is None or before == point.value else f"{before:g} -> "
    return f"{was}{point.value:g} {unit_of(point.value, metric.unit)}"
