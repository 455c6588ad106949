"""``aqe bench``: our memory beside the plain driver and other stores, on your own server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from lionagi_qe.agents.base import Step
from lionagi_qe.bench.chart import check_charts, draw_rows, draw_sweep
from lionagi_qe.bench.history import append, courses, read, run_of
from lionagi_qe.bench.history_report import as_json, draw_courses, show_courses
from lionagi_qe.bench.measure import Effort
from lionagi_qe.bench.report import show_rows, show_sweep
from lionagi_qe.bench.rows import ROWS, rows_named
from lionagi_qe.bench.run import run_rows
from lionagi_qe.bench.sweep import SWEEPS, run_sweep
from lionagi_qe.bench.workload import ENTRIES, GROUP, Workload
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.progress import quiet_option, showing
from lionagi_qe.errors import ConfigurationError
from lionagi_qe.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_FILE = click.Path(dir_okay=False, path_type=Path)
_LARGEST = 1_000_000


@click.command()
@click.argument("url", required=False)
@click.option("--rows", default="", help=f"Only these: {', '.join(row.name for row in ROWS)}.")
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="How often each contender takes its turn at each row.",
)
@click.option(
    "--seconds",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="How long each contender works in each round of each row.",
)
@click.option(
    "--entries",
    default=ENTRIES,
    show_default=True,
    type=click.IntRange(GROUP),
    help=f"How many there are before measuring; rounded up to groups of {GROUP}.",
)
@click.option(
    "--sweep",
    type=click.Choice(sorted(SWEEPS)),
    help="Instead of the rows: rates over sizes, of our memory and the plain driver.",
)
@click.option(
    "--largest",
    default=_LARGEST,
    show_default=True,
    type=click.IntRange(1),
    help="Where a sweep ends.",
)
@click.option("--json", "json_file", type=_FILE, help="Write every round here.")
@click.option("--chart", "chart_file", type=_FILE, help="Draw here, as PNG (needs matplotlib).")
@quiet_option
@click.option("--record", type=_FILE, help="Add the ratios, with the commit, to this history.")
@click.option(
    "--history",
    type=_FILE,
    help="Measure nothing: the ratios of this history over commits, and where one fell.",
)
@click.option("--check", is_flag=True, help="With --history: exit code 1 if one fell of late.")
def bench(  # noqa: PLR0913 - a command's options
    *,
    url: str | None,
    rows: str,
    rounds: int,
    seconds: float,
    entries: int,
    sweep: str | None,
    largest: int,
    json_file: Path | None,
    chart_file: Path | None,
    record: Path | None,
    history: Path | None,
    check: bool,
) -> int:
    """Measure our memory on the server at URL, beside the plain driver.

    Other stores (LangGraph's, py-key-value's, SAQ's queue) take part where they are installed.
    All do the same work on the same values, in turn, round after round, in a schema, key prefix
    or folder of their own, which is removed in the end. It puts load on the server.

    --record FILE keeps the ratios to the plain driver beside the commit that is checked out here;
    --history FILE shows how they went, names the commit where one changed beyond what chance
    explains, and with --check fails if one fell by more than 5 % in the last 10 runs.
    """
    if chart_file is not None:
        check_charts()
    if history is not None:
        if url is not None or record is not None:
            raise click.UsageError("--history measures nothing: leave URL and --record out")
        return _show_history(history, json_file, chart_file, check=check)
    url = _measured_at(url, sweep=sweep, record=record, check=check)
    effort = Effort(rounds, seconds)
    entries = -(-entries // GROUP) * GROUP
    if sweep is None:
        chosen = rows_named(rows)
        load = Workload(entries)
        with _said() as say:
            report = run_until_told(run_rows(url, chosen, load, effort, say=say))
        show_rows(report, Console())
        if record is not None:
            append(record, run_of(report, Path.cwd()))
        if chart_file is not None:
            draw_rows(report, chart_file)
    else:
        with _said() as say:
            sizes = run_sweep(url, SWEEPS[sweep], effort, largest=largest, entries=entries, say=say)
            report = run_until_told(sizes)
        show_sweep(report, Console())
        if chart_file is not None:
            draw_sweep(report, chart_file)
    if json_file is not None:
        write_text(json_file, json.dumps(report.as_json(), indent=2) + "\n", "shared")
    return Exit.PASSED


def _measured_at(url: str | None, *, sweep: str | None, record: Path | None, check: bool) -> str:
    """Return the URL, if it and the options are those of a measurement."""
    if url is None:
        raise click.UsageError("name a URL to measure at, or a file of earlier runs by --history")
    if check:
        raise click.UsageError("--check: of which runs? Name their file by --history")
    if sweep is not None and record is not None:
        raise click.UsageError("--record: a sweep has no ratios; leave --sweep out")
    return url


def _show_history(
    path: Path, json_file: Path | None, chart_file: Path | None, *, check: bool
) -> int:
    found = courses(read(path))
    if not found:
        raise ConfigurationError(f"{path}: no runs yet; add one with aqe bench URL --record {path}")
    show_courses(found, Console())
    if chart_file is not None:
        draw_courses(found, chart_file)
    if json_file is not None:
        write_text(json_file, json.dumps(as_json(found), indent=2) + "\n", "shared")
    fell = any(course.is_new(change) for course in found for change in course.falls)
    return Exit.GATE_FAILED if check and fell else Exit.PASSED


@contextmanager
def _said() -> Generator[Callable[[str], None]]:
    """Yield what is told of each step."""
    with showing() as progress:
        yield lambda text: progress(Step("bench", text))
