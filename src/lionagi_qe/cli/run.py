"""``aqe run PATH``: examine a project and say whether it is good enough."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from platformdirs import user_state_path
from rich.console import Console

from lionagi_qe.agents.settings import read_pyproject, settings_of
from lionagi_qe.cli.exits import Exit, explain
from lionagi_qe.cli.progress import showing
from lionagi_qe.errors import ProjectError
from lionagi_qe.fleet import run as fleet
from lionagi_qe.fleet.report import console as console_report
from lionagi_qe.fleet.report.json import as_json
from lionagi_qe.fleet.report.junit import as_junit
from lionagi_qe.persistence.connect import URL_VARIABLE, redact

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from lionagi_qe.fleet.run import Outcome


@click.command
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The project's own interpreter; its environment is used and left as it is.",
)
@click.option(
    "--memory",
    "memory_url",
    metavar="URL",
    help=f"Where results are kept; by default a file in your state directory, or ${URL_VARIABLE}.",
)
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Lowest line coverage that passes.",
)
@click.option(
    "--min-branch-coverage",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Lowest branch coverage that passes.",
)
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="METRIC",
    help="A metric that must be measured; may be repeated.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Most seconds for the test run (600 by default).",
)
@click.option(
    "--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the tests as JUnit XML."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
def run(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    junit: Path | None,
    as_document: bool,
    quiet: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Examine the project in the directory PATH.

    Works on a copy: the project's own tree is only read. The gate is set here or in [tool.aqe] of
    the project's pyproject.toml: min-coverage, min-branch-coverage, required, timeout, pass-env,
    project.
    """
    project = _directory(path)
    pyproject = read_pyproject(project)
    given["required"] = given["required"] or None
    settings = settings_of(project, pyproject, given)
    name = settings.project or _name_of(project, pyproject)
    url = memory_url or os.environ.get(URL_VARIABLE) or default_memory(project, name)
    if junit is not None and not junit.absolute().parent.is_dir():
        raise click.UsageError(f"--junit {junit}: its directory does not exist; create it first")
    interpreter = None if python is None else _interpreter(python)
    with showing(quiet=quiet) as progress:
        examination = fleet.run(
            project,
            project=name,
            pyproject=pyproject,
            settings=settings,
            python=interpreter,
            memory_url=url,
            shown_url=redact(url),
            progress=progress,
        )
        outcome = asyncio.run(_until_told(examination))
    code = Exit.INFRASTRUCTURE if outcome.unkept is not None else _exit_code(outcome)
    if junit is not None:
        junit.write_bytes(as_junit(outcome))
    if as_document:
        click.echo(as_json(outcome, code))
    else:
        console_report.write(outcome, Console(emoji=False))
    if outcome.unkept is not None:
        click.echo(f"aqe: results not kept: {explain(outcome.unkept)}", err=True)
    return code


def default_memory(project: Path, name: str) -> str:
    """Return the URL of the project's own memory, in the user's state directory."""
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60]
    directory = user_state_path("aqe", appauthor=False) / "projects"
    directory.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{directory / f'{readable}-{key}.db'}"


def _directory(path: Path) -> Path:
    if not path.exists():
        raise click.UsageError(f"{path}: there is no such directory; name a project's directory")
    if not path.is_dir():
        raise click.UsageError(f"{path}: is no directory; name the project's directory")
    return path.resolve()


def _name_of(project: Path, pyproject: dict[str, Any]) -> str:
    table = pyproject.get("project", {})
    if not isinstance(table, dict):
        raise ProjectError(f"{project / 'pyproject.toml'}: project must be a table")
    return str(table.get("name") or project.name or "project")


def _interpreter(python: Path) -> Path:
    if not python.is_file():
        raise click.UsageError(f"--python {python}: no such file; for example .venv/bin/python")
    # Not resolved: an interpreter finds its environment by the path it is called by.
    return Path(os.path.abspath(python))  # noqa: PTH100


async def _until_told(examination: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run it; a polite request to end (SIGTERM) ends it as Ctrl-C does, children included."""
    task = asyncio.create_task(examination)
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _exit_code(outcome: Outcome) -> Exit:
    gate = outcome.metric("gate")
    if gate is None or not gate.measured:
        return Exit.NOT_MEASURED
    return Exit.PASSED if gate.value == "passed" else Exit.GATE_FAILED
