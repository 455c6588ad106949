"""A run as Markdown, for a pull request's comment or a job's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.finding import of_details

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.run import Outcome

_MOST_LISTED = 20
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_SIGNS = {"passed": "✅", "failed": "❌", "not measured": "⚠️"}


def as_markdown(outcome: Outcome) -> str:
    """Return the document: the gate, every figure with its source, failures and findings."""
    return "\n".join(_lines(outcome)) + "\n"


def _lines(outcome: Outcome) -> Iterator[str]:
    gate = outcome.metric("gate")
    if gate is not None:
        verdict = gate.value if gate.measured else "not measured"
        yield f"## {_SIGNS[verdict]} {_text(outcome.project)}: gate {verdict}"
    else:
        yield f"## {_text(outcome.project)}"
    yield ""
    yield f"Commit {_code(outcome.commit or 'unknown')}, run {_code(outcome.run)}"
    rulings = outcome.detail("quality-gate", "rulings")
    if rulings:
        yield from ("", "| rule | verdict | evidence |", "|---|---|---|")
        for ruling in rulings:
            sign = _SIGNS[ruling["verdict"]]
            verdict = f"{sign} {ruling['verdict']}"
            yield f"| {_text(ruling['rule'])} | {verdict} | {_text(ruling['detail'])} |"
    yield from _failures(outcome)
    yield from _findings(outcome)
    yield from ("", "| figure | value | measured by |", "|---|---:|---|")
    for findings in outcome.findings.values():
        for metric in findings.metrics:
            yield f"| {_text(metric.name)} | {_value(metric)} | {_source(metric)} |"
    if outcome.notes:
        yield ""
        yield from (f"- {_text(note)}" for note in outcome.notes)


def _failures(outcome: Outcome) -> Iterator[str]:
    bad = [test for test in outcome.detail("test-executor", "tests") if test["outcome"] in BAD]
    yield from _listed("Failing tests", [f"{_code(test['id'])} {test['outcome']}" for test in bad])


def _findings(outcome: Outcome) -> Iterator[str]:
    new = [
        finding
        for findings in outcome.findings.values()
        for finding in of_details(findings.details)
        if not finding.known and finding.level != "note"
    ]
    lines = [
        f"{_code(each.file + ('' if each.line is None else f':{each.line}'))} "
        f"{_text(each.message)} ({_text(f'{each.tool} {each.version} {each.rule}')})"
        for each in new
    ]
    yield from _listed("Findings", lines)


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    if not lines:
        return
    yield from ("", f"### {title}", "")
    yield from (f"- {line}" for line in lines[:_MOST_LISTED])
    if len(lines) > _MOST_LISTED:
        yield f"- and {len(lines) - _MOST_LISTED} more"


def _value(metric: Metric) -> str:
    if not metric.measured:
        return "not measured"
    value: Any = len(metric.value) if isinstance(metric.value, list) else metric.value
    return _text(f"{value} {metric.unit}")


def _source(metric: Metric) -> str:
    if not metric.measured:
        return _text(str(metric.reason))
    return _text(f"{metric.tool} {metric.version}")


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return text as code, with a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padded = f" {text} " if longest else text
    return f"{fence}{' '.join(padded.splitlines())}{fence}"
