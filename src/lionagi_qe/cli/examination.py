"""What every command that examines a project shares: its options, its request, its run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from lionagi_qe.agents.project.executor_choice import executor
from lionagi_qe.agents.project.monorepo import has_tests_of_its_own, is_project, projects_below
from lionagi_qe.agents.project.settings import Order, sessions
from lionagi_qe.agents.project.time_span import seconds_of
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit, explain
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, showing
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.fleet.request import request_for, with_readable_lists
from lionagi_qe.fleet.run import run
from lionagi_qe.persistence.connect import URL_VARIABLE
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.agents.base import Agent
    from lionagi_qe.errors import MemoryMissingError
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome

# Where a command's context keeps --fleet.
_FLEET = f"{__name__}.fleet"
_UNSIGNED = f"{__name__}.allow-unsigned"


def duration(text: str) -> float:
    """Return the seconds of a time above 0: ``90``, ``90s``, ``1.5m``, ``1h``."""
    try:
        return seconds_of(text)
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error)) from error


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


def path_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add PATH, a project's directory: the working directory where it is left out."""
    return click.argument(
        "path", type=click.Path(path_type=Path), required=False, callback=_chosen
    )(command)


def _chosen(_: click.Context, parameter: click.Parameter, path: Path | None) -> Path:
    """Return the directory that was named, else the working directory if a project is there."""
    if path is not None:
        return path
    here = Path()
    if is_project(here) or has_tests_of_its_own(here) or projects_below(here):
        return here
    by = "" if isinstance(parameter, click.Argument) else f" by {parameter.opts[0]}"
    raise click.UsageError(
        f"{here.absolute()}: there is no project in the working directory; name a project's "
        f"directory{by}"
    )


def project_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds --project as ``path``, for commands about what a run left."""
    return click.option(
        "--project",
        "path",
        type=click.Path(path_type=Path),
        callback=_chosen,
        metavar="PATH",
        help=f"{what}; by default the working directory.",
    )


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --python, --memory, --locked, --isolate, --allow-network and more that all share."""
    for option in reversed(
        (
            click.option(
                "--python",
                type=click.Path(path_type=Path),
                metavar="PATH",
                help="The project's own interpreter; its environment is used and left as it is.",
            ),
            memory_option,
            click.option(
                "--locked/--no-locked",
                default=None,
                help="Insist on the versions of the project's lock file, or leave them aside; by "
                "default they are kept to where they can be had.",
            ),
            click.option(
                "--isolate/--no-isolate",
                default=None,
                envvar="AQE_ISOLATE",
                help="Run the project's code without your files, processes and network; takes "
                "bubblewrap, or Podman or Docker. Installing what it needs still uses the network.",
            ),
            click.option(
                "--allow-network",
                is_flag=True,
                default=None,
                help="Let isolated code use the network.",
            ),
            click.option(
                "--pass-env",
                multiple=True,
                metavar="NAME",
                callback=_any,
                help="A variable that the project's code may see; several times. Isolated code "
                "sees those alone, whatever pass-env of the project names.",
            ),
            click.option(
                "--allow-unsigned",
                is_flag=True,
                expose_value=False,
                callback=_note_unsigned,
                help="Believe what nobody signed, where LIONAGI_QE_SIGNING_KEYS has keys: results "
                "of workers, and a run to resume.",
            ),
            click.option(
                "--timeout",
                type=_Seconds(),
                metavar="SECONDS",
                help="Most seconds for the test run (3600 by default).",
            ),
            quiet_option,
        )
    ):
        command = option(command)
    return command


def _any(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...] | None:
    return names or None


def _note_unsigned(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - as click calls it
    context.meta[_UNSIGNED] = value


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
        help="Which fleet's part of that memory; fleets see nothing of each other.",
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
    shown = f"{default} by default" if default else "no limit by default"
    return click.option(
        "--budget",
        type=duration,
        default=default,
        metavar="TIME",
        help=f"Most time in all, such as 90s or 5m; {shown}.",
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


def parallel_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --parallel, which goes into the settings."""

    def read(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
        if value is None:
            return None
        try:
            return sessions(int(value) if value.isdecimal() else value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} {error}") from error

    return click.option(
        "--parallel",
        metavar="N|auto|off",
        callback=read,
        help="Run the tests in N sessions side by side, once a comparison with one session has "
        "shown that this changes nothing. auto: as many as there are cores, where it pays (the "
        "default).",
    )(command)


def executor_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --executor, which goes into the settings."""

    def read(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else executor(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} {error}") from error

    return click.option(
        "--executor",
        metavar="auto|local|queue|ADDRESS",
        callback=read,
        help="Where the work is done. auto: by workers of the memory where there are any, else "
        "here (the default). local: here. queue: by workers. dask://HOST:PORT, tcp:// or tls://: "
        "by the workers of a Dask scheduler.",
    )(command)


def request_of(  # noqa: PLR0913 - what a run is asked for
    path: Path,
    *,
    agents: Sequence[str | Agent],
    python: Path | None,
    memory_url: str | None,
    budget: float | None = None,
    base: str | None = None,
    given: dict[str, Any] | None = None,
    resume: bool = False,
) -> Request:
    """Return the request for a run; ``given`` settings go before those of the project."""
    if python is not None and not python.is_file():
        raise click.UsageError(f"--python {python}: no such file; for example .venv/bin/python")
    return request_for(
        directory(path),
        agents=agents,
        memory=memory_url,
        fleet=click.get_current_context().meta.get(_FLEET, DEFAULT_FLEET),
        python=python,
        budget=budget,
        base=base,
        settings=given,
        resume=resume,
        allow_unsigned=click.get_current_context().meta.get(_UNSIGNED, False),
    )


def place_of(request: Request) -> str:
    """Return in words where a request's runs are kept."""
    return f"{request.shown_url}, fleet {request.fleet}"


def no_run(request: Request, missing: MemoryMissingError | None = None) -> click.UsageError:
    """Return the error of a project of which no run is kept, or the memory itself is missing."""
    # Without what to do about a missing memory: here that is to run.
    why = "" if missing is None else f" ({str(missing).partition(';')[0]})"
    told = f"no run of {request.project!r} is in {place_of(request)}{why}; start with aqe run"
    return click.UsageError(told)


def carry_out(request: Request, *, writes: Path | None = None) -> Outcome:
    """Run the fleet, with progress on stderr; it ``writes`` a list that may not be there yet."""
    request = with_readable_lists(request, writes)
    with showing() as progress:
        return run_until_told(run(request, progress))


def tell(outcome: Outcome, code: Exit, *, as_document: bool) -> Exit:
    """Print the report, and an error if the results are not kept; return the exit code."""
    if outcome.unkept is not None:
        # Before it is told: the JSON document has the code.
        code = Exit.INFRASTRUCTURE
    # Each way of telling imports what it needs: rich takes longer than all of a small report.
    if as_document:
        from lionagi_qe.fleet.report.json import as_json

        say(as_json(outcome, code))
    else:
        from rich.console import Console

        from lionagi_qe.fleet.report import console

        console.write(outcome, Console(emoji=False))
    return complain_if_unkept(outcome, code)


def complain_if_unkept(outcome: Outcome, code: Exit) -> Exit:
    """Print an error if the results are not kept, or an agent had a defect; return the code."""
    if outcome.defects:
        # Only then, since it is imported for that alone.
        from lionagi_qe.cli.defect import tell_defects

        code = tell_defects(outcome)
    if outcome.unkept is None:
        return code
    say(f"aqe: results not kept: {explain(outcome.unkept)}", err=True)
    return Exit.INFRASTRUCTURE


def exit_code_of_run(outcome: Outcome) -> Exit:
    """Return what a run tells the shell: infrastructure, gate, or a figure that is missing."""
    if outcome.unkept is not None or outcome.defects:
        return Exit.INFRASTRUCTURE
    gate = outcome.metric("gate")
    if gate is None:
        return Exit.PASSED
    if not gate.measured:
        return Exit.NOT_MEASURED
    return Exit.PASSED if gate.value == "passed" else Exit.GATE_FAILED


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
