"""``aqe flaky PATH``: which tests fail by chance, by their order, by the clock, or by leftovers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.flaky.quarantine import as_quarantine
from lionagi_qe.cli.examination import (
    budget_option,
    carry_out,
    check_writable,
    learn_option,
    path_argument,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.exits import Exit
from lionagi_qe.files import write_text

if TYPE_CHECKING:
    from lionagi_qe.fleet.run import Outcome


@click.command
@path_argument
@project_options
@budget_option("60s")
@learn_option
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the flaky tests as a list for quarantine in [tool.aqe].",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def flaky(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    budget: float,
    quarantine: Path | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Hunt flaky tests in the project in the directory PATH.

    Runs all tests again and again on fresh copies: in other orders, with other random seeds, at
    other times of day and year, and a second time in the same directory. Ends with 1 if it names
    any, and the list of --quarantine keeps those from failing the gate.
    """
    if quarantine is not None:
        check_writable("--quarantine", quarantine)
    request = request_of(
        path,
        agents=["flaky-test-hunter"],
        python=python,
        memory_url=memory_url,
        budget=budget,
        given=given,
    )
    outcome = carry_out(request, writes=quarantine)
    code = _exit_code(outcome)
    if quarantine is not None and code in {Exit.PASSED, Exit.GATE_FAILED}:
        tests = outcome.detail("flaky-test-hunter", "flaky")
        text = as_quarantine({test["id"]: f"{test['cause']}: {test['evidence']}" for test in tests})
        write_text(quarantine, text, "shared")
    return tell(outcome, code, as_document=as_document)


def _exit_code(outcome: Outcome) -> Exit:
    metric = outcome.metric("flaky_tests")
    if metric is None or not metric.measured:
        return Exit.NOT_MEASURED
    return Exit.GATE_FAILED if metric.value else Exit.PASSED
