"""What each page tells, from the record of a run."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lionagi_qe.agents.coverage.line_ranges import as_ranges, of_text
from lionagi_qe.agents.finding import of_details
from lionagi_qe.display import spelled_out
from lionagi_qe.fleet.new_gaps import named
from lionagi_qe.fleet.report.failure_groups import failure_groups, outcomes
from lionagi_qe.fleet.report.failure_words import before, message_lines
from lionagi_qe.fleet.report.html.source_pages import diff_lines
from lionagi_qe.fleet.report.untested import changed_lines, uncovered_code
from lionagi_qe.fleet.trends import points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lionagi_qe.agents.finding import Finding
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.project_past import ProjectPast
    from lionagi_qe.fleet.report.html.source_pages import SourcePages
    from lionagi_qe.fleet.run_record import RunRecord

_MOST_GROUPS = 30
_MOST_IN_GROUP = 30
_LONGEST_TITLE = 160
_MOST_GAPS = 500
_MOST_MUTANTS = 500
_MOST_FINDINGS = 2000
# Of the overview: figure -> the page that tells more of it.
_FIGURES = {
    "tests_passed": "tests.html#outcome=passed",
    "tests_failed": "tests.html#outcome=failing",
    "tests_errors": "tests.html#outcome=failing",
    "failure_groups": "#failures",
    "tests_skipped": "tests.html#outcome=skipped",
    "line_coverage": "coverage.html",
    "branch_coverage": "coverage.html",
    "diff_coverage": "coverage.html",
    "mutation_score": "mutants.html",
    "flaky_tests": "flaky.html",
    "security_findings": "findings.html",
    "secrets": "findings.html",
    "complex_functions": "findings.html",
    "static_findings_new": "findings.html",
    "type_errors": "findings.html",
    "type_errors_new": "findings.html",
    "vulnerable_dependencies": "findings.html",
    "api_failures": "findings.html",
    "tests_slower": "findings.html",
    "docs_examples_failed": "findings.html",
    "package_import_failures": "findings.html",
    "generated_tests": "generated.html",
}
_LABELS = {"static_findings_new": "new findings", "complex_functions": "tangled functions"}
# Above 0 they are never what anybody wants.
_BAD = frozenset({"tests_failed", "tests_errors", "secrets"})


def of_page(
    page: str, record: RunRecord, past: ProjectPast, sources: SourcePages
) -> dict[str, Any]:
    """Return what a page's template needs beside what all of them have."""
    own: dict[str, Callable[[], dict[str, Any]]] = {
        "index": lambda: _overview(record, past),
        "coverage": lambda: _coverage(record, sources),
        "mutants": lambda: _mutants(record),
        "flaky": lambda: {"flaky": list(_flaky(record))},
        "findings": lambda: _findings(record),
        "provenance": lambda: {"is_kept": any(run.id == record.run for run in past.runs)},
    }
    return own[page]() if page in own else {}


def test_link(test: str) -> str:
    """Return where a test's own page is, within the report."""
    return f"test.html#{quote(spelled_out(test), safe='/:[]')}"


def percent(share: float, *, digits: int = 1) -> str:
    """Return a share of one in percent."""
    return f"{100 * share:.{digits}f} %"


def _overview(record: RunRecord, past: ProjectPast) -> dict[str, Any]:
    groups, ended = failure_groups(record), outcomes(record)
    return {
        "figures": list(_course(record, past)),
        "groups": [
            {
                "message": group["message"],
                "title": next(iter(message_lines(group)), "nothing")[:_LONGEST_TITLE],
                "count": len(group["tests"]),
                "tests": [
                    _linked(test, known=test in ended) for test in group["tests"][:_MOST_IN_GROUP]
                ],
                "before": before(group),
            }
            for group in groups[:_MOST_GROUPS]
        ],
        "groups_left": len(groups[_MOST_GROUPS:]),
        "changes": _changes(record),
        "ran": bool((collected := record.metric("tests_collected")) and collected.value),
        "changed_figures": _changed_figures(record),
        "uncollectable": dict(record.detail("test-executor", "uncollectable") or {}),
    }


def _course(record: RunRecord, past: ProjectPast) -> Iterator[dict[str, Any]]:
    for name, page in _FIGURES.items():
        metric = record.metric(name)
        if metric is None:
            continue
        before = [point.value for point in points(past.runs, name) if point.run != record.run]
        shown = metric.value if metric.measured else None
        now = len(shown) if isinstance(shown, list) else shown
        number = now if isinstance(now, int | float) else None
        yield {
            "name": name,
            "label": _LABELS.get(name, name.replace("_", " ")),
            "page": page,
            "values": [*before, number],
            "delta": _delta(before, number),
            "is_bad": name in _BAD and bool(number),
            "aside": _interval(record) if name == "mutation_score" else _reason(metric),
        }


def _reason(metric: Metric) -> str:
    """Return the beginning of why a figure was not measured; all of it is told with its source."""
    return "" if metric.reason is None else textwrap.shorten(metric.reason, 80, placeholder=" ...")


def _delta(before: Sequence[float | None], now: float | None) -> str:
    """Return by how much a figure went up or down since it was last measured; "" if it did not."""
    last = next((value for value in reversed(before) if value is not None), None)
    if last is None or now is None or round(now - last, 2) == 0:
        return ""
    return f"{now - last:+.2f}".removesuffix(".00").replace("-", "\N{MINUS SIGN}")


def _interval(record: RunRecord) -> str:
    low, high = record.metric("mutation_score_low"), record.metric("mutation_score_high")
    score = record.metric("mutation_score")
    if score and not score.measured:
        return _reason(score)
    if not (low and high and low.measured and high.measured):
        return ""
    return f"{low.value:.1f} to {high.value:.1f} %, 95 % interval"


def _changes(record: RunRecord) -> dict[str, list[dict[str, str]]]:
    comparison = record.comparison
    if comparison is None:
        return {}
    found = {
        "newly failing": comparison.newly_failing,
        "fixed": comparison.fixed,
        "added": comparison.added,
        "lost": comparison.lost,
    }
    changes = {
        label: [_linked(test, known=label != "lost") for test in tests]
        for label, tests in found.items()
        if tests
    }
    if comparison.newly_untested:
        changes["newly untested"] = [{"id": gap, "link": ""} for gap in comparison.newly_untested]
    if comparison.slower:
        changes["slower"] = [
            _linked(test.id)
            | {"how": f"{test.seconds:.2f} s, usually {test.usual:.2f} s over {test.runs} runs"}
            for test in comparison.slower
        ]
    return changes


def _changed_figures(record: RunRecord) -> dict[str, float]:
    """Return the figures that are not what they were, with what that was."""
    figures = {} if record.comparison is None else record.comparison.figures
    return {name: before for name, (before, now) in figures.items() if before != now}


def _linked(test: str, *, known: bool = True) -> dict[str, str]:
    return {"id": test, "link": test_link(test) if known else ""}


def _coverage(record: RunRecord, sources: SourcePages) -> dict[str, Any]:
    files = sorted(
        record.detail("coverage-analyzer", "files"),
        key=lambda each: (each["lines_covered"] - each["lines"], each["file"]),
    )
    gaps: Sequence[Mapping[str, Any]] = record.detail("coverage-analyzer", "gaps")
    survivors = Counter(
        (each["file"], each["function"]) for each in record.detail("mutation-tester", "survivors")
    )
    changed = changed_lines(record)
    new = frozenset(() if record.comparison is None else record.comparison.newly_untested)
    since = {} if record.comparison is None else record.comparison.untested_since
    missed = {} if changed is None else changed["missed"]
    untested = {file: of_text(lines) for file, lines in missed.items()}
    return {
        "changed": changed,
        "untested": [
            (file, first, last)
            for file, lines in untested.items()
            for first, last in as_ranges(lines)
        ],
        "files": [
            each | {"share": each["lines_covered"] / each["lines"] if each["lines"] else None}
            for each in files
        ],
        "gaps": [
            {
                **gap,
                "changed": len(
                    set(gap["missed_lines"]).intersection(untested.get(gap["file"], ()))
                ),
                "is_new": named(gap) in new,
                "since": since.get(named(gap)),
                "risk": len(gap["missed_lines"]) * (gap["complexity"] or 1),
                "survivors": survivors[gap["file"], gap["function"]],
            }
            for gap in gaps[:_MOST_GAPS]
        ],
        "gaps_left": len(gaps[_MOST_GAPS:]),
        "unavailable": sources.unavailable,
        "crowded_out": sources.crowded_out,
    }


def _mutants(record: RunRecord) -> dict[str, Any]:
    survivors: Sequence[Mapping[str, Any]] = record.detail("mutation-tester", "survivors")
    run_by: Sequence[Sequence[str]] = record.detail("mutation-tester", "survivors_run_by")
    shown = [
        {
            **each,
            "lines": [(line[:1], line) for line in diff_lines(each["diff"])],
            "run_by": [_linked(test) for test in names],
        }
        for each, names in zip(survivors[:_MOST_MUTANTS], run_by, strict=False)
    ]
    return {
        "survivors": shown,
        "survivors_left": len(survivors) - len(shown),
        "uncovered_code": uncovered_code(record),
        "doubtful": _count(record, "mutants_doubtful"),
        "unjudged": _count(record, "mutants_unjudged"),
    }


def _count(record: RunRecord, name: str) -> int:
    """Return a figure; 0 where an earlier version did not measure it."""
    metric = record.metric(name)
    return 0 if metric is None else metric.value or 0


def _flaky(record: RunRecord) -> Iterator[dict[str, Any]]:
    for test in record.detail("flaky-test-hunter", "flaky"):
        yield {**test, **_linked(test["id"]), "command": _repeating(test)}


def _repeating(test: Mapping[str, Any]) -> str:
    return shlex.join(["aqe", "repeat", ".", test["id"], *test["repeat"]])


def _findings(record: RunRecord) -> dict[str, Any]:
    found = [
        finding
        for agent, findings in record.findings.items()
        # They are a page of their own.
        if agent != "mutation-tester"
        for finding in of_details(findings.details)
    ]
    tools = [tool for each in record.findings.values() for tool in each.details.get("tools", [])]
    return {
        "found": [(finding, _safe_url(finding)) for finding in found[:_MOST_FINDINGS]],
        "found_left": len(found[_MOST_FINDINGS:]),
        "unmeasured": [tool for tool in tools if tool["reason"] is not None],
    }


def _safe_url(finding: Finding) -> str:
    """Return where a rule is explained, if that is a page on the web and no script."""
    try:
        scheme = urlsplit(finding.url or "").scheme
    except ValueError:
        return ""
    return finding.url or "" if scheme in {"http", "https"} else ""
