"""``aqe run PATH``: examine a project and say whether it is good enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lionagi_qe.cli.examination import (
    base_option,
    budget_option,
    carry_out,
    check_writable,
    executor_option,
    learn_option,
    order_option,
    parallel_option,
    path_argument,
    project_options,
    request_of,
)
from lionagi_qe.cli.judging import agents_named, judging_options
from lionagi_qe.cli.model_options import check_model, model_options
from lionagi_qe.cli.report_files import finish, report_files, report_options
from lionagi_qe.cli.several import check_is_one, places, run_each
from lionagi_qe.cli.shard import check_for_shard, run_as_shard, shard_of, shard_options
from lionagi_qe.files import write_text

if TYPE_CHECKING:
    from lionagi_qe.agents.project.model_choice import ModelChoice
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome


@click.command
@path_argument
@project_options
@budget_option(None)
@base_option
@learn_option
@order_option
@parallel_option
@executor_option
@model_options
@judging_options
@report_options
@shard_options
@click.option(
    "--write-baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the findings of static analysis as a baseline for [tool.aqe].",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the last run of the project that was interrupted or killed, with its options.",
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Examine each project in PATH, with one summary: for repositories that hold several.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def run(  # noqa: PLR0913 - a command's options
    path: Path,
    *,
    python: Path | None,
    memory_url: str | None,
    budget: float | None,
    base: str | None,
    model: ModelChoice | None,
    agents: str | None,
    reports: tuple[str, ...],
    junit: Path | None,
    write_baseline: Path | None,
    resume: bool,
    every: bool,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Examine the project in the directory PATH.

    Works on a copy: the project's own tree is only read. The gate is set here or in [tool.aqe] of
    the project's pyproject.toml: min-coverage, min-branch-coverage, fail-on, required, source,
    timeout, test-timeout, pass-env, max-memory, max-complexity, baseline, quarantine, project,
    order, parallel, learn, isolate, executor, type-checker, docs, vulnerability-service, api,
    api-schema, api-examples.
    """
    for several in ("required", "fail_on"):
        given[several] = given[several] or None
    shard = shard_of(given)
    if resume:
        decided = {"python": python, "budget": budget, "base": base, "agents": agents} | given
        if click.get_current_context().get_parameter_source("label") is ParameterSource.COMMANDLINE:
            decided["model"] = model
        _check_resumable(decided)
    if model is not None:
        check_model(model)

    def asked_of(place: Path) -> Request:
        return request_of(
            place,
            agents=agents_named(agents, budget),
            python=python,
            memory_url=memory_url,
            budget=budget,
            base=base,
            given=given | {"model": model},
            resume=resume,
        )

    if every:
        _check_for_all(resume, reports, junit, write_baseline, shard)
        return run_each(
            path,
            lambda place: carry_out(asked_of(place)),
            as_document=as_document,
            found=places(path),
        )
    check_is_one(path)
    request = asked_of(path)
    if shard is not None:
        check_for_shard(resume=resume, write_baseline=write_baseline)
        return run_as_shard(request, shard, reports, junit, as_document=as_document)
    files = report_files(reports, junit)
    if write_baseline is not None:
        check_writable("--write-baseline", write_baseline)
    outcome = carry_out(request, writes=write_baseline)
    code = finish(outcome, request, files, as_document=as_document)
    if write_baseline is not None:
        _write_baseline(outcome, write_baseline)
    return code


def _check_for_all(*of_one_run: object) -> None:
    """Raise UsageError for options that are about one run."""
    if any(of_one_run):
        raise click.UsageError("--all goes with no file to write, no shard and no run to resume")


def _check_resumable(decided: dict[str, Any]) -> None:
    """Raise UsageError for options that the run to resume was started with, or without."""
    for name, value in decided.items():
        if value is not None:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} can't go with --resume: the run has its options")


def _write_baseline(outcome: Outcome, file: Path) -> None:
    from lionagi_qe.agents.finding import of_details
    from lionagi_qe.agents.static.baseline import as_baseline

    found = outcome.findings.get("static-analyzer")
    metric = outcome.metric("static_findings_new")
    if found is None or metric is None or not metric.measured:
        reason = "static-analyzer did not run" if metric is None else metric.reason
        raise click.ClickException(f"--write-baseline {file}: nothing written: {reason}")
    write_text(file, as_baseline(of_details(found.details)), "shared")
