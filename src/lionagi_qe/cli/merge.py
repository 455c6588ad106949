"""``aqe merge RESULT...``: one run of the shards of a CI matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.examination import (
    base_option,
    budget_option,
    learn_option,
    project_option,
    project_options,
    request_of,
)
from lionagi_qe.cli.judging import agents_named, judging_options
from lionagi_qe.cli.progress import showing
from lionagi_qe.cli.report_files import finish, report_files, report_options
from lionagi_qe.fleet.request import with_readable_lists
from lionagi_qe.fleet.shards.result import read_result
from lionagi_qe.fleet.shards.run import merge as merge_results

if TYPE_CHECKING:
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome


@click.command
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT..."
)
@project_option("The project's directory, as the shards had it")
@project_options
@budget_option(None)
@base_option
@learn_option
@judging_options
@report_options
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def merge(  # noqa: PLR0913 - a command's options
    results: tuple[Path, ...],
    *,
    path: Path,
    python: Path | None,
    memory_url: str | None,
    budget: float | None,
    base: str | None,
    agents: str | None,
    reports: tuple[str, ...],
    junit: Path | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Make one run of each RESULT that aqe run --shard 1/5 to 5/5 wrote, and judge it.

    Its figures are those of one run of all tests: outcomes, lines and branches, and what the other
    agents find here. It is judged, compared with the last run and kept once. Refused: results that
    lack a shard, have one twice, or are of other commits, files or divisions. No test runs again.
    """
    for several in ("required", "fail_on"):
        given[several] = given[several] or None
    request = request_of(
        path,
        agents=agents_named(agents, budget),
        python=python,
        memory_url=memory_url,
        budget=budget,
        base=base,
        given=given,
    )
    files = report_files(reports, junit)
    outcome = _merged(request, results)
    return finish(outcome, request, files, as_document=as_document)


def _merged(request: Request, results: tuple[Path, ...]) -> Outcome:
    request = with_readable_lists(request)
    with showing() as progress:
        read = [read_result(file) for file in results]
        return run_until_told(merge_results(request, read, progress))
