"""``aqe run --shard 2/5``: the tests of one machine of a CI matrix."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from lionagi_qe.agents.execution.sharding import Unit
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.examination import tell
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import showing
from lionagi_qe.cli.report_files import report_files, write_reports
from lionagi_qe.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome
    from lionagi_qe.fleet.shards.result import ShardResult
    from lionagi_qe.fleet.shards.run import ShardRequest

# The form of the report that aqe merge reads.
_FORM = "shard"
# Other forms are of what no shard can tell.
_FORMS = (_FORM, "junit", "json", "md", "github")
_SHARD = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


def shard_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --shard, --shard-by and --durations; ``shard_of`` reads them."""

    def read(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
        if value is None:
            return None
        match = _SHARD.fullmatch(value)
        part, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= part <= of:
            raise click.BadParameter(f"{value!r} is no shard; write 1/5 to 5/5, for example")
        return part, of

    for option in reversed(
        (
            click.option(
                "--shard",
                metavar="K/N",
                callback=read,
                help="Run only part K of N of the tests, and judge nothing: for one machine of a "
                "CI matrix. Takes --report shard=FILE; aqe merge makes one run of these files.",
            ),
            click.option(
                "--shard-by",
                type=click.Choice(get_args(Unit)),
                help="What goes to a shard: whole test files (the default), or tests, but for "
                "those that share a fixture of their class or module.",
            ),
            click.option(
                "--durations",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="How long tests take, to divide them by; the same for all shards. By default "
                "what the memory knows. aqe merge --report durations=FILE writes it.",
            ),
        )
    ):
        command = option(command)
    return command


def shard_of(given: dict[str, Any]) -> ShardRequest | None:
    """Take the options of ``shard_options`` out of those given; None if no shard is asked for."""
    shard, by, durations = (given.pop(name) for name in ("shard", "shard_by", "durations"))
    if shard is None:
        if by is not None or durations is not None:
            option = "--durations" if by is None else "--shard-by"
            raise click.UsageError(f"{option} goes with --shard alone")
        return None
    from lionagi_qe.fleet.shards.run import ShardRequest

    part, of = shard
    return ShardRequest(part, of, by or "file", durations)


def check_for_shard(*, resume: bool, write_baseline: Path | None) -> None:
    """Raise UsageError for options that are about a whole run."""
    if resume:
        raise click.UsageError("--resume can't go with --shard: start the shard again instead")
    if write_baseline is not None:
        raise click.UsageError("--write-baseline can't go with --shard, which analyses no code")


def run_as_shard(
    request: Request,
    shard: ShardRequest,
    reports: tuple[str, ...],
    junit: Path | None,
    *,
    as_document: bool,
) -> Exit:
    """Run a shard, write its result and tell what it found."""
    from lionagi_qe.fleet.shards.run import run_shard

    if isinstance(request.settings.parallel, int):
        raise click.UsageError(
            "--parallel can't go with --shard: a shard's tests run in one session; make more shards"
        )
    files = report_files(reports, junit, _FORMS)
    results = [file for form, file in files if form == _FORM]
    if not results:
        raise click.UsageError("--shard takes --report shard=FILE, which aqe merge reads")
    with showing() as progress:
        outcome, result = run_until_told(run_shard(request, shard, progress))
    code = _exit_code_of(outcome, result)
    for file in results:
        if result is not None:
            write_bytes(file, replace(result, file=str(file)).as_bytes(), "shared")
    write_reports(outcome, request, code, [each for each in files if each[0] != _FORM])
    code = tell(outcome, code, as_document=as_document)
    _tell_result(shard, result, results, err=as_document)
    return code


def _exit_code_of(outcome: Outcome, result: ShardResult | None) -> Exit:
    collected = outcome.metric("tests_collected")
    measured = collected is not None and collected.measured
    return Exit.PASSED if result is not None and measured else Exit.NOT_MEASURED


def _tell_result(
    shard: ShardRequest, result: ShardResult | None, files: list[Path], *, err: bool
) -> None:
    name = f"{shard.part}/{shard.of}"
    if result is None:
        say(f"shard     {name}: no result was written", err=True)
        return
    division = result.division
    count = "" if division is None else f"{len(division['own'])} of {len(division['ids'])} tests, "
    written = ", ".join(map(str, files))
    say(
        f"shard     {name}: {count}{result.known} durations known; aqe merge reads {written}",
        err=err,
    )
