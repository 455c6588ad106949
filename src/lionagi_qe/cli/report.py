"""``aqe report RUN``: a run that is over as pages for a browser."""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.examination import (
    check_writable,
    memory_option,
    no_run,
    place_of,
    project_option,
    request_of,
)
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.errors import InvalidArgumentError, MemoryMissingError
from lionagi_qe.files import check_fillable
from lionagi_qe.fleet.examined_source import read_sources
from lionagi_qe.fleet.finished_run import FinishedRun, finished_run
from lionagi_qe.fleet.project_past import ProjectPast, past_until
from lionagi_qe.fleet.report.html import MARKER, write_pages
from lionagi_qe.fleet.run_record import RunRecords
from lionagi_qe.fleet.trends import other_projects, runs_of
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome
    from lionagi_qe.fleet.run_record import RunRecord
    from lionagi_qe.fleet.trends import PastRun
    from lionagi_qe.persistence import Memory

_T = TypeVar("_T")
_DIRECTORY = Path("aqe-report")


@click.command
@click.argument("run", required=False)
@project_option("The project's directory")
@memory_option
@quiet_option
@click.option(
    "--html",
    "directory",
    type=click.Path(path_type=Path),
    default=_DIRECTORY,
    show_default=True,
    metavar="DIR",
    help="Where the pages go: a new or an empty directory, or one with earlier pages.",
)
@click.option("--open", "opens", is_flag=True, help="Show the first page in the browser.")
@click.option("--list", "lists", is_flag=True, help="Only list the runs that can be shown.")
def report(  # noqa: PLR0913 - a command's options
    run: str | None,
    *,
    path: Path,
    memory_url: str | None,
    directory: Path,
    opens: bool,
    lists: bool,
) -> int:
    """Write the pages of a RUN that is over; nothing is run again.

    RUN is its id, which aqe run tells, or a part of that which no other run has; without it, the
    last run of the project that was to run tests is meant, and so it is of a directory's project
    where RUN is a directory. Of a project, what its last runs found
    is kept; the source beside their figures is read from the project's directory, or from git.
    """
    if run is not None and Path(run).is_dir():
        # All other commands about a project take its directory.
        path, run = Path(run), None
    request = request_of(path, agents=[], python=None, memory_url=memory_url)
    if lists:
        with telling("reading runs"):
            return run_until_told(_within(request, _list))
    check_directory("--html", directory)

    async def find(memory: Memory, project: str) -> FinishedRun:
        return await finished_run(memory, project, run)

    with telling("reading the run"):
        found = run_until_told(_within(request, find))
    with telling("writing pages"):
        first = write_report(found.record, found.past, request.path, directory)
    say(str(first))
    if opens and not webbrowser.open(first.as_uri()):
        raise click.ClickException(f"no browser could be started; open {first} in one")
    return Exit.PASSED


def check_directory(option: str, directory: Path) -> None:
    """Raise UsageError unless pages can be written to a directory, as far as that can be told."""
    check_writable(option, directory)
    try:
        check_fillable(directory, MARKER)
    except OSError as error:
        raise click.UsageError(f"{option} {directory}: {error.strerror}") from error


def write_outcome(outcome: Outcome, request: Request, directory: Path) -> Path:
    """Write the pages of a run that has just ended; return the first, absolute."""
    past = asyncio.run(_past_of(outcome, request))
    return write_report(outcome.as_record(), past, request.path, directory)


def write_report(record: RunRecord, past: ProjectPast, root: Path, directory: Path) -> Path:
    """Write the pages of a run on the project in ``root``; return the first, absolute."""
    return write_pages(record, past, read_sources(root, record.sources), directory.absolute())


async def _past_of(outcome: Outcome, request: Request) -> ProjectPast:
    if outcome.unkept is not None:
        return ProjectPast()
    async with open_memory(request.memory_url, fleet=request.fleet, migrate=False) as memory:
        return await past_until(memory, request.project, outcome.run)


async def _within(request: Request, act: Callable[[Memory, str], Awaitable[_T]]) -> _T:
    """Do something with the memory of a project; UsageError if no run of it is there."""
    try:
        async with open_memory(request.memory_url, fleet=request.fleet, migrate=False) as memory:
            try:
                return await act(memory, request.project)
            except InvalidArgumentError as error:
                error.add_note(f"looked in {place_of(request)}")
                if told := await other_projects(memory, request.project):
                    error.add_note(told)
                raise
    except MemoryMissingError as error:
        raise no_run(request, error) from error


async def _list(memory: Memory, project: str) -> Exit:
    kept = frozenset(await RunRecords(memory, project).runs())
    if not kept:
        raise InvalidArgumentError(
            f"no run of {project!r} is kept with what it found; start with aqe run"
        )
    for run in reversed(await runs_of(memory, project)):
        if run.id in kept:
            say(f"{run.id}  {_told(run)}")
    return Exit.PASSED


def _told(run: PastRun) -> str:
    found = {metric.name: metric for metrics in run.metrics.values() for metric in metrics}
    gate, tests = found.get("gate"), found.get("tests_collected")
    verdict = "gate not judged" if gate is None else f"gate {gate.value or 'not measured'}"
    count = "" if tests is None or not tests.measured else f", {tests.value} tests"
    return f"{verdict}{count}  ({', '.join(run.metrics)})"
