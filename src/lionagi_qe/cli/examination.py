"""What every command that examines a project shares: its options, its request, its run."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from platformdirs import user_state_path

from lionagi_qe.agents.flaky.quarantine import read_quarantine
from lionagi_qe.agents.project.settings import Order, project_name, read_pyproject, settings_of
from lionagi_qe.agents.static.baseline import read_baseline
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit, explain
from lionagi_qe.cli.progress import showing
from lionagi_qe.fleet import run as fleet
from lionagi_qe.persistence.connect import URL_VARIABLE
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.fleet.run import Outcome, Request

# Where a command's context keeps --fleet.
_FLEET = f"{__name__}.fleet"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """Return the seconds of a time above 0: ``90``, ``90s``, ``1.5m``, ``1h``."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no time above 0; write seconds, or 90s, 2m, 1h")
    return seconds


class _Seconds(click.FloatRange):
    """A number of seconds above 0, and no nan, which is neither more nor less than anything."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click hands it over
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add PATH, --python, --memory, --timeout and --quiet."""
    for option in reversed(
        (
            click.argument("path", type=click.Path(path_type=Path)),
            click.option(
                "--python",
                type=click.Path(path_type=Path),
                metavar="PATH",
                help="The project's own interpreter; its environment is used and left as it is.",
            ),
            memory_option,
            click.option(
                "--timeout",
                type=_Seconds(),
                metavar="SECONDS",
                help="Most seconds for the test run (600 by default).",
            ),
            click.option("--quiet", "-q", is_flag=True, help="Show no progress."),
        )
    ):
        command = option(command)
    return command


def memory_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --memory, and --fleet, which request_of finds by itself."""

    def note(context: click.Context, _: click.Parameter, fleet: str) -> None:
        context.meta[_FLEET] = fleet

    with_fleet = click.option(
        "--fleet",
        default=DEFAULT_FLEET,
        show_default=True,
        expose_value=False,
        callback=note,
        help="Whose part of that memory.",
    )(command)
    return click.option(
        "--memory",
        "memory_url",
        metavar="URL",
        help="Where results are kept; by default a file in your state directory, "
        f"or ${URL_VARIABLE}.",
    )(with_fleet)


def budget_option(default: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds --budget."""
    shown = f" ({default} by default)" if default else ""
    return click.option(
        "--budget",
        type=duration,
        default=default,
        metavar="TIME",
        help=f"Most time in all, for example 120s{shown}.",
    )


def base_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --base."""
    return click.option(
        "--base", metavar="REF", help="A commit, branch or tag: what changed since comes first."
    )(command)


def learn_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --learn, which goes into the settings."""
    return click.option(
        "--learn/--no-learn",
        default=None,
        help="Decide by what earlier runs taught, and teach later ones (the default).",
    )(command)


def order_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --order, which goes into the settings."""
    return click.option(
        "--order",
        type=click.Choice(get_args(Order)),
        help="default: tests run as pytest collects them. learned: the likeliest to fail first. "
        "auto: the latter once a hunt for flaky tests has shown that no test minds (the default).",
    )(command)


def request_of(  # noqa: PLR0913 - what a run is asked for
    path: Path,
    *,
    agents: Sequence[str],
    python: Path | None,
    memory_url: str | None,
    budget: float | None = None,
    base: str | None = None,
    given: dict[str, Any] | None = None,
    resume: bool = False,
) -> Request:
    """Return the request for a run; ``given`` settings go before those of the project."""
    project = directory(path)
    pyproject = read_pyproject(project)
    settings = settings_of(project, pyproject, given or {})
    name = settings.project or project_name(project, pyproject)
    url = memory_url or os.environ.get(URL_VARIABLE) or default_memory(project, name)
    return fleet.Request(
        project,
        name,
        pyproject,
        settings,
        agents,
        None if python is None else _interpreter(python),
        url,
        redact(url),
        budget,
        base,
        resume,
        click.get_current_context().meta.get(_FLEET, DEFAULT_FLEET),
    )


def carry_out(request: Request, *, quiet: bool, writes: Path | None = None) -> Outcome:
    """Run the fleet, with progress on stderr; it ``writes`` a list that may not be there yet."""
    settings = _with_lists(request.path, request.settings, writes)
    request = dataclasses.replace(request, settings=settings)
    with showing(quiet=quiet) as progress:
        return run_until_told(fleet.run(request, progress))


def _with_lists(project: Path, settings: Settings, writes: Path | None) -> Settings:
    """Return the settings without lists that are yet to be written.

    Raises ProjectError for another that is missing or unreadable: the gate would pass without it.
    """
    for name, read in (("baseline", read_baseline), ("quarantine", read_quarantine)):
        listed = getattr(settings, name)
        if listed is None:
            continue
        if writes is not None and not (project / listed).exists():
            settings = dataclasses.replace(settings, **{name: None})
        else:
            read(project / listed)
    return settings


def tell(outcome: Outcome, code: Exit, *, as_document: bool) -> Exit:
    """Print the report, and an error if the results are not kept; return the exit code."""
    if outcome.unkept is not None:
        # Before it is told: the JSON document has the code.
        code = Exit.INFRASTRUCTURE
    # Each way of telling imports what it needs: rich takes longer than all of a small report.
    if as_document:
        from lionagi_qe.fleet.report.json import as_json

        click.echo(as_json(outcome, code))
    else:
        from rich.console import Console

        from lionagi_qe.fleet.report import console

        console.write(outcome, Console(emoji=False))
    return complain_if_unkept(outcome, code)


def complain_if_unkept(outcome: Outcome, code: Exit) -> Exit:
    """Print an error if the results are not kept; return the exit code."""
    if outcome.unkept is None:
        return code
    click.echo(f"aqe: results not kept: {explain(outcome.unkept)}", err=True)
    return Exit.INFRASTRUCTURE


def exit_code_of_run(outcome: Outcome) -> Exit:
    """Return what a run tells the shell: infrastructure, gate, or a figure that is missing."""
    if outcome.unkept is not None:
        return Exit.INFRASTRUCTURE
    gate = outcome.metric("gate")
    if gate is None:
        return Exit.PASSED
    if not gate.measured:
        return Exit.NOT_MEASURED
    return Exit.PASSED if gate.value == "passed" else Exit.GATE_FAILED


def default_memory(project: Path, name: str) -> str:
    """Return the URL of the project's own memory, in the user's state directory."""
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60]
    directory = user_state_path("aqe", appauthor=False) / "projects"
    directory.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{directory / f'{readable}-{key}.db'}"


def directory(path: Path) -> Path:
    """Return the project's directory, absolute; UsageError if there is none."""
    if not path.exists():
        raise click.UsageError(f"{path}: there is no such directory; name a project's directory")
    if not path.is_dir():
        raise click.UsageError(f"{path}: is no directory; name the project's directory")
    return path.resolve()


def check_writable(option: str, file: Path) -> None:
    """Raise UsageError unless the directory that a file shall be written to exists."""
    if not file.absolute().parent.is_dir():
        raise click.UsageError(f"{option} {file}: its directory does not exist; create it first")


def _interpreter(python: Path) -> Path:
    if not python.is_file():
        raise click.UsageError(f"--python {python}: no such file; for example .venv/bin/python")
    # Not resolved: an interpreter finds its environment by the path it is called by.
    return Path(os.path.abspath(python))  # noqa: PTH100
