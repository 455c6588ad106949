"""``aqe generate PATH``: tests for functions that no test runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.examination import (
    budget_option,
    carry_out,
    path_argument,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.model_options import check_model, model_options
from lionagi_qe.cli.output import say
from lionagi_qe.files import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.agents.project.model_choice import ModelChoice


@click.command
@path_argument
@project_options
@budget_option("120s")
@model_options
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the tests into this directory, which is made if need be; never over a file.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def generate(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    budget: float,
    model: ModelChoice | None,
    into: Path | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Write tests for functions of the project in the directory PATH.

    Hypothesis' ghostwriter writes them, or the model that --model names; kept are those that pass
    five times and run lines that no test ran, or notice a mutant that none did. What touches files,
    processes or the network is left out, and a test that fails is told apart as a possible bug.
    The ghostwriter's tests need hypothesis; without --into they are only shown.
    """
    if model is not None:
        check_model(model)
    request = request_of(
        path,
        # A model can write for what the ghostwriter can't: changes that no test notices.
        agents=["test-generator"] if model is None else ["mutation-tester", "test-generator"],
        python=python,
        memory_url=memory_url,
        budget=budget,
        given=given | {"model": model},
    )
    outcome = carry_out(request)
    metric = outcome.metric("generated_tests")
    measured = metric is not None and metric.measured
    code = tell(outcome, Exit.PASSED if measured else Exit.NOT_MEASURED, as_document=as_document)
    if into is not None and measured:
        write_tests(outcome.detail("test-generator", "tests"), into)
    return code


def write_tests(tests: Iterable[Mapping[str, Any]], into: Path) -> None:
    """Write each test's ``source`` to a file of its ``name``; one that is there stays as it is."""
    into.mkdir(parents=True, exist_ok=True)
    for test in tests:
        file = into / check_name(test["name"])
        try:
            with file.open("x", encoding="utf-8") as out:
                out.write(test["source"])
        except FileExistsError:
            say(f"kept as it is: {file} exists already", err=True)
        else:
            say(f"written: {file}", err=True)
