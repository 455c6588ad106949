"""``aqe gate PATH``: judge a run that is over by the rules as they are now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from lionagi_qe import __version__
from lionagi_qe.agents.flaky.quarantine import read_quarantine
from lionagi_qe.agents.gate.agent import judge
from lionagi_qe.agents.gate.rules import parse_rules
from lionagi_qe.agents.metric import Source
from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.examination import memory_option, no_run, path_argument, request_of
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import show_json
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.errors import MemoryMissingError
from lionagi_qe.fleet.registry import check_metrics
from lionagi_qe.fleet.report.console import STYLES, show
from lionagi_qe.fleet.trends import findings_of, latest_run, runs_of
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.fleet.request import Request


@click.command
@path_argument
@memory_option
@quiet_option
@click.option("--run", "run_id", metavar="ID", help="Which run; the last one by default.")
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
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def gate(
    path: Path,
    *,
    memory_url: str | None,
    run_id: str | None,
    as_document: bool,
    **given: Any,  # noqa: ANN401 - as click hands them over
) -> int:
    """Judge the last run of the project in the directory PATH, without running anything.

    The rules are those of [tool.aqe] and of the options; each ruling comes with its evidence.
    """
    for several in ("required", "fail_on"):
        given[several] = given[several] or None
    request = request_of(path, agents=[], python=None, memory_url=memory_url, given=given)
    rules = parse_rules(request.settings.fail_on)
    check_metrics([*request.settings.required, *(rule.metric for rule in rules)])
    with telling("reading runs"):
        run, findings = run_until_told(_findings(request, run_id))
    verdict = _judged(request, findings)
    metric = verdict.metrics[0]
    if as_document:
        show_json({"run": run, "gate": asdict(metric), "rulings": verdict.details["rulings"]})
    else:
        _print(run, verdict)
    if not metric.measured:
        return Exit.NOT_MEASURED
    return Exit.PASSED if metric.value == "passed" else Exit.GATE_FAILED


async def _findings(request: Request, run: str | None) -> tuple[str, dict[str, Findings]]:
    opened = open_memory(request.memory_url, fleet=request.fleet, migrate=False)
    try:
        async with opened as memory:
            runs = await runs_of(memory, request.project)
            named = next((each for each in runs if each.id == run), None)
            chosen = named if run else latest_run(runs)
            if chosen is None and not run:
                raise no_run(request)
            if chosen is None:
                raise click.UsageError(
                    f"run {run!r} of {request.project!r} is not in {request.shown_url}; "
                    "aqe history --json lists those that are"
                )
            return chosen.id, await findings_of(memory, request.project, chosen)
    except MemoryMissingError as error:
        raise no_run(request, error) from error


def _judged(request: Request, findings: dict[str, Findings]) -> Findings:
    settings = request.settings
    quarantined: frozenset[str] = frozenset()
    if settings.quarantine is not None:
        quarantined = read_quarantine(request.path / settings.quarantine)
    commits = (metric.commit for each in findings.values() for metric in each.metrics)
    source = Source("aqe", __version__, "aqe gate", next(commits, None))
    return judge(settings, findings, quarantined, source)


def _print(run: str, verdict: Findings) -> None:
    console = Console(emoji=False)
    for ruling in verdict.details["rulings"]:
        says = escape(f"{ruling['rule']}: {ruling['detail']}")
        line = f"  [{STYLES[ruling['verdict']]}]{ruling['verdict']:<13}[/]{says}"
        show(console, line)
    metric = verdict.metrics[0]
    said = metric.value if metric.measured else "not measured"
    console.print(f"[bold]gate[/]      [{STYLES[said]}]{said}[/]  (run {run})", highlight=False)
