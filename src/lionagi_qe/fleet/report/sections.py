"""What each of the agents beside tests and coverage adds to the report on the console."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lionagi_qe.agents.coverage.line_ranges import as_text
from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import counted, unit_of
from lionagi_qe.fleet.registry import TOLD_APART
from lionagi_qe.fleet.report.figures import common_reason, not_measured, source
from lionagi_qe.fleet.report.untested import uncovered_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.run import Outcome

_MUTANTS = ("mutants", "tried", "killed", "timed_out", "survived", "unjudged", "uncovered")
_MOST_LISTED = 10


def static(outcome: Outcome) -> Iterator[str]:
    """Yield what reading the code found."""
    if "static-analyzer" not in outcome.findings:
        return
    yield ""
    figures = {
        "tangled": "complex_functions",
        "security": "security_findings",
        "secrets": "secrets",
    }
    reason = common_reason([outcome.metric(name) for name in figures.values()])
    if reason is not None:
        yield f"{'static':<9} {reason}"
    else:
        yield from (_figure(outcome, label, name) for label, name in figures.items())
    found = of_details(outcome.findings["static-analyzer"].details)
    new = [finding for finding in found if not finding.known and finding.level != "note"]
    for finding in new[:_MOST_LISTED]:
        place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        yield f"  {escape(place)} {escape(finding.rule)}: {escape(finding.message)}"
    if len(new) > _MOST_LISTED:
        yield f"  and {len(new) - _MOST_LISTED} more: --report sarif=FILE or json=FILE"
    known = sum(finding.known for finding in found)
    if known:
        yield f"  {known} known by the project's baseline"


def selection(outcome: Outcome) -> Iterator[str]:
    """Yield how many tests the change needs, and what can't be known of it."""
    if "regression-selector" not in outcome.findings:
        return
    yield ""
    yield _figure(outcome, "needed", "tests_selected")
    for each in outcome.detail("regression-selector", "unknown")[:_MOST_LISTED]:
        yield f"  not known: {escape(each['file'])}: {escape(each['why'])}"
    for each in outcome.detail("regression-selector", "unreached")[:_MOST_LISTED]:
        lines = ", ".join(map(str, each["lines"])) or "taken away"
        yield f"  no test runs {escape(each['file'])}, changed lines {lines}"


def flaky(outcome: Outcome) -> Iterator[str]:
    """Yield the flaky tests, each with its interval, cause and history."""
    if "flaky-test-hunter" not in outcome.findings:
        return
    yield ""
    yield _figure(outcome, "flaky", "flaky_tests")
    for test in outcome.detail("flaky-test-hunter", "flaky"):
        yield f"  [yellow]{test['cause']:<11}[/]{escape(test['id'])}"
        yield f"             {escape(how_often(test))}"
        yield f"             to see it {test['repeat_shows']}: {escape(repeating(outcome, test))}"
        if test["past"]:
            past = test["past"]
            yield (
                f"             named by {past['named']} of {past['hunts']} earlier hunts; "
                f"{past['failures']} of {past['runs']} runs failed then"
            )
    for test in outcome.detail("flaky-test-hunter", "not_idempotent"):
        yield f"  [dim]fails when repeated in one process[/]  {escape(test)}"
    sessions, limit = outcome.metric("flaky_sessions"), outcome.metric("flaky_rate_limit")
    if sessions is not None and sessions.measured and limit is not None and limit.measured:
        yield (
            f"  {counted(sessions.value, 'sessions')}; a test not named here fails with at most "
            f"{limit.value:g} % of random seeds, by 95 % confidence"
        )


def how_often(test: Mapping[str, Any]) -> str:
    """Return when a flaky test fails, at what rate, and of how many trials that is said."""
    interval = f"{100 * test['low']:.1f} to {100 * test['high']:.1f} %"
    sure = "" if test["confirmed"] else ", seen once"
    return (
        f"{test['evidence']}{sure}; fails in {100 * test['rate']:.1f} % ({interval}) of "
        f"{test['varied']}: {test['draws']} tried, {test['failures']} of {test['runs']} runs failed"
    )


def repeating(outcome: Outcome, test: Mapping[str, Any]) -> str:
    """Return the command that is likely to make a flaky test fail again."""
    path = os.path.relpath(outcome.path)
    shown = str(outcome.path) if path.startswith("..") else path
    return shlex.join(["aqe", "repeat", shown, test["id"], *test["repeat"]])


def mutation(outcome: Outcome) -> Iterator[str]:
    """Yield the mutation score and the changes that no test noticed, as diffs."""
    if "mutation-tester" not in outcome.findings:
        return
    yield ""
    score, low, high = (
        outcome.metric(f"mutation_score{suffix}") for suffix in ("", "_low", "_high")
    )
    if score is None or not score.measured or low is None or high is None:
        yield f"{'mutation':<9} {not_measured(score)}"
        return
    yield (
        f"{'mutation':<9} {score.value:.2f} % noticed of {scored_mutants(outcome)} "
        f"(95 % interval {low.value:.1f} to {high.value:.1f} %)  {source(score)}"
    )
    yield from _uncovered_mutants(outcome, score.value)
    counts = {
        name: metric.value
        for name in _MUTANTS
        if (metric := outcome.metric(name if name == "mutants" else f"mutants_{name}")) is not None
    }
    shown = ", ".join(
        f"{value} {name.replace('_', ' ')}{_doubtful(outcome) if name == 'survived' else ''}"
        for name, value in counts.items()
        if value or name != "unjudged"
    )
    yield f"  {shown}"
    if counts.get("unjudged"):
        yield "  unjudged: all tests that run them fail on the unchanged code, too"
    survivors = outcome.detail("mutation-tester", "survivors")
    for each in survivors[:_MOST_LISTED]:
        aside = ", changed since the base" if each["changed"] else ""
        label = "doubtful" if each["judged_nothing"] else "survived"
        yield ""
        yield (
            f"  [yellow]{label}[/] {escape(each['file'])}:{each['line']} "
            f"{escape(each['function'])} ({each['operator']}, {_running(each['tests'])}{aside})"
        )
        if each["judged_nothing"]:
            silent = ", ".join(each["judged_nothing"][:_MOST_LISTED])
            yield f"    judged nothing, as they fail on the unchanged code, too: {escape(silent)}"
        # The first two lines name the file.
        yield from (f"    {_coloured(line)}" for line in each["diff"].splitlines()[2:])
    if len(survivors) > _MOST_LISTED:
        yield f"  and {len(survivors) - _MOST_LISTED} more: --json"


def scored_mutants(outcome: Outcome) -> str:
    """Return what the mutation score is of."""
    scored = outcome.detail("mutation-tester", "scored")
    return f"{counted(scored, 'mutants')} in code that tests run"


def _doubtful(outcome: Outcome) -> str:
    doubtful = outcome.metric("mutants_doubtful")
    return f" ({doubtful.value} doubtful)" if doubtful is not None and doubtful.value else ""


def _running(tests: int) -> str:
    return "1 test runs it" if tests == 1 else f"{tests} tests run it"


def _uncovered_mutants(outcome: Outcome, score: float) -> Iterator[str]:
    mutants, uncovered = outcome.metric("mutants"), outcome.metric("mutants_uncovered")
    if mutants is None or uncovered is None or not uncovered.value:
        return
    share = (mutants.value - uncovered.value) / mutants.value
    yield (
        f"  {counted(uncovered.value, 'mutants')} in code that {uncovered_code(outcome)} "
        f"{'is' if uncovered.value == 1 else 'are'} not in it; with them it is "
        f"about {score * share:.2f} %"
    )


def generated(outcome: Outcome) -> Iterator[str]:
    """Yield the tests that are worth keeping, and why the others are not."""
    if "test-generator" not in outcome.findings:
        return
    yield ""
    yield _figure(outcome, "generated", "generated_tests")
    yield from _funnel(outcome)
    for test in outcome.detail("test-generator", "tests"):
        yield (
            f"  [green]kept[/]     {escape(test['file'])} {escape(test['function'])}: "
            f"{added_by(test)}"
        )
        yield from (f"    [dim]{escape(line)}[/]" for line in test["source"].splitlines())
    for each in outcome.detail("test-generator", "rejected")[:_MOST_LISTED]:
        yield (
            f"  [dim]left out[/] {escape(each['file'])} {escape(each['function'])}: "
            f"{escape(each['why'])}"
        )


def added_by(test: Mapping[str, Any]) -> str:
    """Return what a generated test adds to those that there were."""
    lines: Sequence[int] = test["lines_added"]
    told = f"runs {counted(len(lines), 'lines')} that no test ran"
    told += f" ({as_text(lines)})" if lines else ""
    tried = test["mutants_tried"]
    return f"{told}, notices {test['mutants_killed']} of {tried} mutants" if tried else told


def _funnel(outcome: Outcome) -> Iterator[str]:
    """Yield how far the candidates came, which of them fail, and what a model was asked."""
    counts = [
        (label, outcome.metric(name))
        for label, name in (
            ("proposed", "candidates_proposed"),
            ("can be collected", "candidates_built"),
            ("pass", "candidates_passed"),
            ("useful", "generated_tests"),
        )
    ]
    if all(metric is not None and metric.measured for _, metric in counts):
        shown = ", ".join(f"{metric.value} {label}" for label, metric in counts if metric)
        yield f"  {shown}"
    requests = outcome.metric("model_requests")
    if requests is not None and requests.measured:
        words = [f"{requests.value} requests"]
        for label, name in (("tokens asked", "prompt_tokens"), ("answered", "completion_tokens")):
            words.append(_amount(outcome, label, f"model_{name}"))
        words.append(_amount(outcome, "US dollars", "model_cost"))
        yield f"  asked of {escape(requests.tool)}: {', '.join(words)}"
    for each in outcome.detail("test-generator", "possible_bugs"):
        yield (
            f"  [red]possible bug[/] {escape(each['file'])} {escape(each['function'])}: a "
            "generated test fails, and nobody has judged which of them is wrong; "
            f"{escape(each['message'])}"
        )
        yield from (f"    [dim]{escape(line)}[/]" for line in each["source"].splitlines())


def _amount(outcome: Outcome, label: str, name: str) -> str:
    metric = outcome.metric(name)
    if metric is None or not metric.measured:
        return f"{label} {not_measured(metric)}"
    return f"{_number(metric.value)} {label}"


def _coloured(line: str) -> str:
    style = {"-": "red", "+": "green"}.get(line[:1], "dim")
    return f"[{style}]{escape(line)}[/]"


def others(outcome: Outcome) -> Iterator[str]:
    """Yield the figures and findings of agents that have no section of their own."""
    for findings in outcome.findings.values():
        if findings.agent in TOLD_APART:
            continue
        yield ""
        yield escape(findings.agent)
        yield from _figures(findings.metrics)
        found = of_details(findings.details)
        for finding in found[:_MOST_LISTED]:
            place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
            yield f"  {escape(place)} {escape(finding.rule)}: {escape(finding.message)}"
        if len(found) > _MOST_LISTED:
            yield f"  and {len(found) - _MOST_LISTED} more: --report sarif=FILE or json=FILE"


def _figures(metrics: Sequence[Metric]) -> Iterator[str]:
    """Yield a line a figure; those that lack for one reason share it."""
    lacking: dict[str, list[str]] = {}
    for metric in metrics:
        if metric.measured:
            value = _number(metric.value)
            unit = unit_of(metric.value, metric.unit)
            yield f"  {escape(metric.name)}  {value} {unit}  {source(metric)}"
        else:
            lacking.setdefault(not_measured(metric), []).append(escape(metric.name))
    for reason, names in lacking.items():
        yield f"  {', '.join(names)}  {reason}"


def _figure(outcome: Outcome, label: str, name: str) -> str:
    metric = outcome.metric(name)
    if metric is None or not metric.measured:
        return f"{label:<9} {not_measured(metric)}"
    return (
        f"{label:<9} {_number(metric.value)} {unit_of(metric.value, metric.unit)}  {source(metric)}"
    )


def _number(value: Any) -> str:  # noqa: ANN401 - JSON data
    return f"{value:.2f}" if isinstance(value, float) else str(value)
