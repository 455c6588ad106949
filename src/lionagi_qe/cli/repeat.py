"""``aqe repeat PATH TEST``: a test again, under the conditions in which it failed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.flaky.clock_samples import parse_moment
from lionagi_qe.agents.flaky.repeat import TestRepeater
from lionagi_qe.agents.flaky.reruns import Conditions
from lionagi_qe.cli.examination import (
    carry_out,
    complain_if_unkept,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from lionagi_qe.fleet.run import Outcome

_MOST_TIMES = 10_000


@click.command
@click.argument("path", type=click.Path(path_type=Path))
@project_options
@click.argument("test")
@click.option(
    "--order", metavar="ORDER", help="'reversed', or the number of an order: with what goes before."
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="The seed of random numbers, and of hashes."
)
@click.option(
    "--at",
    metavar="TIME",
    help="The time that the test is to see, for example 2027-01-31T23:59:58.",
)
@click.option("--again", is_flag=True, help="Run it a second time in the same directory.")
@click.option(
    "--times",
    type=click.IntRange(1, _MOST_TIMES),
    default=1,
    show_default=True,
    help="How many processes run it, one after another; with --seed each has the next seed.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def repeat(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    test: str,
    order: str | None,
    seed: int | None,
    at: str | None,
    again: bool,
    times: int,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Run the test TEST of the project in the directory PATH as a hunt saw it fail.

    The report of ``aqe flaky`` has the command for each flaky test. It runs on a fresh copy in a
    fresh process, and ends with 1 if the test fails.
    """
    conditions = _conditions(order=order, seed=seed, at=at, again=again)
    request = request_of(
        path,
        agents=[TestRepeater(test, conditions, times)],
        python=python,
        memory_url=memory_url,
        given=given,
    )
    outcome = carry_out(request)
    code = _exit_code(outcome)
    if as_document:
        return tell(outcome, code, as_document=True)
    _write(outcome, test, conditions)
    return complain_if_unkept(outcome, code)


def _conditions(*, order: str | None, seed: int | None, at: str | None, again: bool) -> Conditions:
    given = [
        name
        for name, value in (("--order", order), ("--seed", seed), ("--at", at), ("--again", again))
        if value is not None and value is not False
    ]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: only one thing is changed at a time")
    if order is not None:
        if order != "reversed" and not order.isdecimal():
            raise click.UsageError(f"--order {order!r}: write 'reversed' or a whole number")
        return Conditions("order", order=order if order == "reversed" else int(order))
    if seed is not None:
        return Conditions("seeds", seed=seed)
    if at is not None:
        try:
            return Conditions("clock", clock=parse_moment(at), moment=at)
        except ValueError as error:
            msg = f"--at {at!r}: write a time as 2027-01-31T23:59:58, with +00:00 for UTC"
            raise click.UsageError(msg) from error
    return Conditions("again" if again else "same")


def _exit_code(outcome: Outcome) -> Exit:
    failures = outcome.metric("repeated_failures")
    if failures is None or not failures.measured:
        return Exit.NOT_MEASURED
    return Exit.GATE_FAILED if failures.value else Exit.PASSED


def _write(outcome: Outcome, test: str, conditions: Conditions) -> None:
    failures = outcome.metric("repeated_failures")
    if failures is None or not failures.measured:
        say(f"not repeated: {None if failures is None else failures.reason}")
        return
    outcomes = outcome.detail(TestRepeater.name, "outcomes")
    counted = ", ".join(f"{count} {name}" for name, count in Counter(outcomes).most_common())
    if message := outcome.detail(TestRepeater.name, "message"):
        say(message.rstrip() + "\n")
    say(f"{test}: {counted} ({conditions})")
