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
    exit_code_of_run,
    learn_option,
    order_option,
    path_argument,
    project_options,
    request_of,
    tell,
)
from lionagi_qe.cli.model_options import check_model, model_options
from lionagi_qe.cli.several import check_is_one, places, run_each
from lionagi_qe.files import write_bytes, write_text
from lionagi_qe.fleet.registry import QUICK, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.agents.project.model_choice import ModelChoice
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome


# Each imports its own report, since most runs write none of them.
def _json(outcome: Outcome, code: int) -> bytes:
    from lionagi_qe.fleet.report.json import as_json

    return as_json(outcome, code).encode() + b"\n"


def _junit(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.junit import as_junit

    return as_junit(outcome)


def _markdown(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.markdown import as_markdown

    return as_markdown(outcome).encode()


def _sarif(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.sarif import as_sarif

    return as_sarif(outcome).encode() + b"\n"


def _annotations(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.annotations import as_annotations

    return as_annotations(outcome).encode(errors="backslashreplace")


def _code_quality(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.code_quality import as_code_quality

    return as_code_quality(outcome).encode() + b"\n"


_FORMS: dict[str, Callable[[Outcome, int], bytes]] = {
    "json": _json,
    "junit": _junit,
    "md": _markdown,
    "sarif": _sarif,
    "github": _annotations,
    "gitlab": _code_quality,
}


@click.command
@path_argument
@project_options
@budget_option(None)
@base_option
@learn_option
@order_option
@model_options
@click.option(
    "--agents",
    metavar="NAMES",
    help=f"Which agents, separated by commas: {', '.join(names())}. By default the quick ones "
    f"({', '.join(QUICK)}), and all of them under a --budget.",
)
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Lowest line coverage that passes.",
)
@click.option(
    "--min-branch-coverage",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Lowest branch coverage that passes.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="RULE",
    help="Fail the gate when this holds, for example 'security_findings > 0'; may be repeated.",
)
@click.option(
    "--require",
    "required",
    multiple=True,
    metavar="METRIC",
    help="A metric that must be measured; may be repeated.",
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORM=FILE",
    help="Write a report: junit=F, sarif=F, json=F, md=F, github=F (annotations for GitHub "
    "Actions, once printed), or gitlab=F (code quality); several separated by commas.",
)
@click.option(
    "--junit", type=click.Path(path_type=Path), metavar="FILE", help="The same as --report junit=."
)
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
    quiet: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Examine the project in the directory PATH.

    Works on a copy: the project's own tree is only read. The gate is set here or in [tool.aqe] of
    the project's pyproject.toml: min-coverage, min-branch-coverage, fail-on, required, source,
    timeout, test-timeout, pass-env, max-memory, max-complexity, baseline, quarantine, project,
    order, learn.
    """
    for several in ("required", "fail_on"):
        given[several] = given[several] or None
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
            agents=_agents(agents, budget),
            python=python,
            memory_url=memory_url,
            budget=budget,
            base=base,
            given=given | {"model": model},
            resume=resume,
        )

    if every:
        _check_for_all(resume, reports, junit, write_baseline)
        return run_each(
            path,
            lambda place: carry_out(asked_of(place), quiet=quiet),
            as_document=as_document,
            found=places(path),
        )
    check_is_one(path)
    request = asked_of(path)
    files = _files(reports, junit)
    if write_baseline is not None:
        check_writable("--write-baseline", write_baseline)
    outcome = carry_out(request, quiet=quiet, writes=write_baseline)
    code = exit_code_of_run(outcome)
    for form, file in files:
        write_bytes(file, _FORMS[form](outcome, code), "shared")
    if write_baseline is not None:
        _write_baseline(outcome, write_baseline)
    return tell(outcome, code, as_document=as_document)


def _check_for_all(*of_one_run: object) -> None:
    """Raise UsageError for options that are about one run."""
    if any(of_one_run):
        raise click.UsageError("--all goes with no file to write and no run to resume")


def _check_resumable(decided: dict[str, Any]) -> None:
    """Raise UsageError for options that the run to resume was started with, or without."""
    for name, value in decided.items():
        if value is not None:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} can't go with --resume: the run has its options")


def _agents(wanted: str | None, budget: float | None) -> list[str]:
    if wanted is not None:
        chosen = [name.strip() for name in wanted.split(",") if name.strip()]
        if not chosen:
            raise click.UsageError(f"--agents {wanted!r} names none of {', '.join(names())}")
        return chosen
    return list(QUICK) if budget is None else names()


def _files(reports: tuple[str, ...], junit: Path | None) -> list[tuple[str, Path]]:
    """Return form and file of each report to write."""
    files = [] if junit is None else [("junit", junit)]
    if junit is not None:
        check_writable("--junit", junit)
    for word in ",".join(reports).split(",") if reports else ():
        form, separator, name = word.partition("=")
        if form not in _FORMS or not separator or not name:
            known = ", ".join(f"{form}=FILE" for form in _FORMS)
            raise click.UsageError(f"--report {word}: write one of {known}")
        check_writable(f"--report {word}:", Path(name))
        files.append((form, Path(name)))
    return files


def _write_baseline(outcome: Outcome, file: Path) -> None:
    from lionagi_qe.agents.finding import of_details
    from lionagi_qe.agents.static.baseline import as_baseline

    found = outcome.findings.get("static-analyzer")
    metric = outcome.metric("static_findings_new")
    if found is None or metric is None or not metric.measured:
        reason = "static-analyzer did not run" if metric is None else metric.reason
        raise click.ClickException(f"--write-baseline {file}: nothing written: {reason}")
    write_text(file, as_baseline(of_details(found.details)), "shared")
