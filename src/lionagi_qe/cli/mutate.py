"""``aqe mutate PATH``: which small changes to the code no test notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.examination import (
    base_option,
    budget_option,
    carry_out,
    learn_option,
    path_argument,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.exits import Exit

if TYPE_CHECKING:
    from pathlib import Path


@click.command
@path_argument
@project_options
@budget_option("120s")
@base_option
@learn_option
@click.option(
    "--min-score",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Lowest share of noticed changes that passes.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def mutate(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    budget: float,
    base: str | None,
    min_score: float | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Change the code of the project in the directory PATH a little, and see which tests notice.

    Works on a copy. Tries changes of lines that differ from --base first, then an even sample of
    all others that tests run, until the time is up, and shows those that no test noticed.
    """
    request = request_of(
        path,
        agents=["mutation-tester"],
        python=python,
        memory_url=memory_url,
        budget=budget,
        base=base,
        given=given,
    )
    outcome = carry_out(request)
    score = outcome.metric("mutation_score")
    code = Exit.PASSED
    if score is None or not score.measured:
        code = Exit.NOT_MEASURED
    elif min_score is not None and score.value < min_score:
        code = Exit.GATE_FAILED
    return tell(outcome, code, as_document=as_document)
