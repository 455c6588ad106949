"""``aqe select PATH``: the tests that a change needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.examination import (
    base_option,
    carry_out,
    complain_if_unkept,
    duration,
    learn_option,
    order_option,
    path_argument,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.output import say
from lionagi_qe.cli.select_part import select_part

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.fleet.run import Outcome


@click.command
@path_argument
@project_options
@base_option
@learn_option
@order_option
@click.option(
    "--select-time",
    type=duration,
    metavar="TIME",
    help="Instead, those that are the likeliest to fail, as many as take so long, for example 60s.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Instead, so many of the likeliest to fail that they find a failing run with this "
    "probability, for example 0.95.",
)
@click.option("--measure", is_flag=True, help="Run all tests first, and map them to the code.")
@click.option("--why", is_flag=True, help="Tell the reason beside each test.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def select(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    base: str | None,
    select_time: float | None,
    confidence: float | None,
    measure: bool,
    why: bool,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Print the tests that the change of the project in the directory PATH needs, one a line.

    What changed since --base, or since the tests were last mapped, is looked up in the map of an
    earlier run. What can't be known is told on stderr. For example:

      aqe select . --base main > tests.txt && test -s tests.txt && pytest @tests.txt

    With --select-time or --confidence it is the tests that are the likeliest to fail, by all that
    earlier runs taught; what they may miss is told on stderr. It can't know of new tests: pytest
    --aqe-select-time and --aqe-confidence run those, too.
    """
    agents = ["regression-selector", *(["coverage-analyzer"] if measure else [])]
    request = request_of(
        path, agents=agents, python=python, memory_url=memory_url, base=base, given=given
    )
    if select_time is not None or confidence is not None:
        if measure or why or base or (select_time is not None and confidence is not None):
            raise click.UsageError(
                "--select-time and --confidence go with none of --base, --measure, --why, and not "
                "with each other"
            )
        return select_part(
            request, seconds=select_time, confidence=confidence, as_document=as_document
        )
    outcome = carry_out(request)
    metric = outcome.metric("tests_selected")
    measured = metric is not None and metric.measured
    code = Exit.PASSED if measured else Exit.NOT_MEASURED
    if as_document:
        return tell(outcome, code, as_document=True)
    if measured:
        _print(outcome, why=why)
    else:
        # Nothing on stdout: what reads it expects tests.
        reason = "the selector gave no answer" if metric is None else metric.reason
        say(f"aqe: not known which tests are needed: {reason}", err=True)
    return complain_if_unkept(outcome, code)


def _print(outcome: Outcome, *, why: bool) -> None:
    selected = outcome.detail("regression-selector", "selected")
    for test in selected:
        say(f"{test['id']}  # {test['why']}" if why else test["id"])
    for file in outcome.detail("regression-selector", "new_files"):
        say(f"{file}  # it is new" if why else file)
    mapped = outcome.metric("tests_mapped")
    known = "" if mapped is None else f" of {mapped.value}"
    base = outcome.detail("regression-selector", "base")
    say(f"{len(selected)}{known} tests are needed since {base}", err=True)
    for each in outcome.detail("regression-selector", "unknown"):
        say(f"not known: {each['file']}: {each['why']}", err=True)
    for each in outcome.detail("regression-selector", "unreached"):
        lines = ", ".join(map(str, each["lines"])) or "some that were taken away"
        say(f"no test runs {each['file']}, changed lines {lines}", err=True)
    for limit in outcome.detail("regression-selector", "limits"):
        say(f"not known: {limit}", err=True)
