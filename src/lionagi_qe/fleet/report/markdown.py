"""A run as Markdown, for a pull request's comment or a job's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import unit_of, visible
from lionagi_qe.fleet.report.changes import UNCHANGED, changes, since
from lionagi_qe.fleet.report.failure_groups import UNCOLLECTABLE, failure_groups, outcomes
from lionagi_qe.fleet.report.failure_words import before, message_lines, place
from lionagi_qe.fleet.report.sections import added_by, how_often, repeating, scored_mutants
from lionagi_qe.fleet.report.untested import changed_lines, untested_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.run import Outcome

_MOST_LISTED = 20
_LONGEST_MESSAGE = 200
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
# What code hosts make a link or a mention of, escaped or not; a comment within keeps them from it.
_LINKED = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=:)(?=//)|(?<=www)(?=\.)|(?<=[Gg][Hh])(?=-\d)")
_SIGNS = {"passed": "✅", "failed": "❌", "not measured": "⚠️"}


def as_markdown(outcome: Outcome) -> str:
    """Return the document: the gate, what changed, failures, findings, and where figures are from.

    Figures of zero and those that were not measured are named in a line each: for each tool, and
    for each reason.
    """
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
    yield from _since(outcome)
    yield from _change(outcome)
    yield from _failures(outcome)
    yield from _flaky(outcome)
    yield from _findings(outcome)
    yield from _generated(outcome)
    yield from _figures(outcome)
    if outcome.notes:
        yield ""
        yield from (f"- {_text(note)}" for note in outcome.notes)


def _since(outcome: Outcome) -> Iterator[str]:
    if outcome.comparison is None or "test-executor" not in outcome.findings:
        return
    told = [f"{label} {_text(how)}" for label, how in changes(outcome.comparison)]
    yield from _listed(f"Since {since(outcome.comparison, _code)}", told or [UNCHANGED])


def _change(outcome: Outcome) -> Iterator[str]:
    changed, share = changed_lines(outcome), outcome.metric("diff_coverage")
    if changed is None or share is None or not share.measured:
        return
    counts = f"{changed['covered']} of {changed['total']} lines of code ran, {share.value:.2f} %"
    untested = [f"untested {_code(each)}" for each in untested_places(changed)]
    title = f"Changed since {_code(changed['ref'])}: {counts}"
    yield from _listed(title, untested or ["tests ran all of them"])


def _figures(outcome: Outcome) -> Iterator[str]:
    zeros: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    rows: list[str] = []
    for findings in outcome.findings.values():
        for metric in findings.metrics:
            name, source = _text(metric.name), _source(metric)
            if not metric.measured:
                reasons.setdefault(source, []).append(name)
            elif _size(metric) == 0:
                zeros.setdefault(source, []).append(name)
            else:
                value = _value(metric)
                if metric.name == "mutation_score":
                    value += f" of {_text(scored_mutants(outcome))}"
                rows.append(f"| {name} | {value} | {source} |")
    yield from ("", "### Figures", "")
    if rows:
        yield from ("| figure | value | measured by |", "|---|---:|---|", *rows, "")
    yield from (f"- 0: {', '.join(names)} ({source})" for source, names in zeros.items())
    yield from (f"- not measured: {', '.join(names)}: {why}" for why, names in reasons.items())


def _failures(outcome: Outcome) -> Iterator[str]:
    """Yield failing tests, those together that are one failure; one that fails alone has a line."""
    groups, ended = failure_groups(outcome), outcomes(outcome)
    yield from _listed("Failing tests", [_failure(group, ended) for group in groups])


def _failure(group: Mapping[str, Any], ended: Mapping[str, str]) -> str:
    first, *others = group["tests"]
    alike = f", and {len(others)} more that fail alike" if others else ""
    said = next(iter(message_lines(group)), "")
    told = f": {_text(said[:_LONGEST_MESSAGE])}" if said else ""
    where = place(group)
    told += f" at {_code(where)}" if where else ""
    past = before(group)
    aside = "" if past is None else f" ({_text(past)})"
    return f"{_code(first)} {ended.get(first, UNCOLLECTABLE)}{alike}{told}{aside}"


def _flaky(outcome: Outcome) -> Iterator[str]:
    lines = [
        f"{_code(test['id'])} ({_text(test['cause'])}): {_text(how_often(test))}; to see it "
        f"{_text(test['repeat_shows'])}: {_code(repeating(outcome, test))}"
        for test in outcome.detail("flaky-test-hunter", "flaky")
    ]
    yield from _listed("Flaky tests", lines)


def _generated(outcome: Outcome) -> Iterator[str]:
    """Yield the generated tests that are worth keeping, with what each adds and its source."""
    tests = outcome.detail("test-generator", "tests")[:_MOST_LISTED]
    if tests:
        yield from ("", "### Generated tests")
    for test in tests:
        place = _code(f"{test['file']} {test['function']}")
        yield from ("", f"{place}: {_text(added_by(test))}", "")
        yield from _block(test["source"])


def _findings(outcome: Outcome) -> Iterator[str]:
    new = [
        finding
        for agent, findings in outcome.findings.items()
        # Flaky tests have a section of their own.
        if agent != "flaky-test-hunter"
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
    size = _size(metric)
    if isinstance(size, str):
        return _text(size)
    shown = f"{size:.2f}" if isinstance(size, float) else str(size)
    return _text(f"{shown} {unit_of(size, metric.unit)}")


def _size(metric: Metric) -> Any:  # noqa: ANN401 - JSON data
    """Return the value; of a list, how many there are."""
    return len(metric.value) if isinstance(metric.value, list) else metric.value


def _source(metric: Metric) -> str:
    if not metric.measured:
        return _text(str(metric.reason))
    return _text(metric.measured_by)


def _text(text: str) -> str:
    plain = visible(" ".join(text.split()))
    return _LINKED.sub("<!-- -->", _SPECIAL.sub(r"\\\1", plain))


def _block(text: str) -> Iterator[str]:
    """Yield lines of Python as a block of code."""
    lines = [visible(line) for line in text.splitlines()]
    fence = "`" * max(3, _longest_fence("\n".join(lines)) + 1)
    yield from (f"{fence}python", *lines, fence)


def _longest_fence(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _code(text: str) -> str:
    """Return text as code, with a fence longer than any run of backticks in it."""
    text = visible(" ".join(text.splitlines())) or " "
    longest = _longest_fence(text)
    fence = "`" * (longest + 1)
    padded = f" {text} " if longest else text
    return f"{fence}{padded}{fence}"
