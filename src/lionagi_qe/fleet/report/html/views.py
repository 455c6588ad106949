"""What each page tells, from the record of a run."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from lionagi_qe.agents.finding import of_details
from lionagi_qe.fleet.report.failure_groups import failure_groups
from lionagi_qe.fleet.trends import points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.finding import Finding
    from lionagi_qe.fleet.project_past import ProjectPast
    from lionagi_qe.fleet.report.html.source_pages import SourcePages
    from lionagi_qe.fleet.run_record import RunRecord

_MOST_GROUPS = 30
_MOST_IN_GROUP = 30
_MOST_MUTANTS = 500
_MOST_FINDINGS = 2000
_FIGURES = (
    "tests_passed",
    "tests_failed",
    "tests_errors",
    "tests_skipped",
    "line_coverage",
    "branch_coverage",
    "diff_coverage",
    "mutation_score",
    "flaky_tests",
    "security_findings",
    "secrets",
    "complex_functions",
    "static_findings_new",
    "generated_tests",
)


def of_page(
    page: str, record: RunRecord, past: ProjectPast, sources: SourcePages
) -> dict[str, Any]:
    """Return what a page's template needs beside what all of them have."""
    match page:
        case "index":
            return _overview(record, past)
        case "coverage":
            return _coverage(record, sources)
        case "mutants":
            return _mutants(record)
        case "flaky":
            return {"flaky": list(_flaky(record))}
        case "findings":
            return _findings(record)
        case "provenance":
            return {"is_kept": any(run.id == record.run for run in past.runs)}
        case _:
            return {}


def test_link(test: str) -> str:
    """Return where a test's own page is, within the report."""
    return f"test.html#{quote(test, safe='/:[]', errors='surrogatepass')}"


def percent(share: float, *, digits: int = 1) -> str:
    """Return a share of one in percent."""
    return f"{100 * share:.{digits}f} %"


def _overview(record: RunRecord, past: ProjectPast) -> dict[str, Any]:
    groups = failure_groups(record.detail("test-executor", "tests"))
    return {
        "figures": list(_course(record, past)),
        "groups": [
            {
                "message": "\n".join(message),
                "count": len(tests),
                "tests": [_linked(test["id"]) for test in tests[:_MOST_IN_GROUP]],
            }
            for message, tests in groups[:_MOST_GROUPS]
        ],
        "groups_left": len(groups[_MOST_GROUPS:]),
        "changes": _changes(record),
        "uncollectable": dict(record.detail("test-executor", "uncollectable") or {}),
    }


def _course(record: RunRecord, past: ProjectPast) -> Iterator[dict[str, Any]]:
    for name in _FIGURES:
        metric = record.metric(name)
        if metric is None:
            continue
        before = [point.value for point in points(past.runs, name) if point.run != record.run]
        now = metric.value if isinstance(metric.value, int | float) else None
        yield {"name": name, "values": [*before, now]}


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
    if comparison.slower:
        changes["slower"] = [
            _linked(test.id)
            | {"how": f"{test.seconds:.2f} s, usually {test.usual:.2f} s over {test.runs} runs"}
            for test in comparison.slower
        ]
    return changes


def _linked(test: str, *, known: bool = True) -> dict[str, str]:
    return {"id": test, "link": test_link(test) if known else ""}


def _coverage(record: RunRecord, sources: SourcePages) -> dict[str, Any]:
    files = sorted(
        record.detail("coverage-analyzer", "files"),
        key=lambda each: (each["lines_covered"] - each["lines"], each["file"]),
    )
    gaps: Sequence[Mapping[str, Any]] = record.detail("coverage-analyzer", "gaps")
    survivors = Counter(
        (each["file"], each["function"])
        for each in record.detail("mutation-tester", "survivors")
    )
    return {
        "files": [
            each | {"share": each["lines_covered"] / each["lines"] if each["lines"] else None}
            for each in files
        ],
        "gaps": [
            {
                **gap,
                "risk": len(gap["missed_lines"]) * (gap["complexity"] or 1),
                "survivors": survivors[gap["file"], gap["function"]],
            }
            for gap in gaps
        ],
        "unavailable": sources.unavailable,
        "crowded_out": sources.crowded_out,
    }


def _mutants(record: RunRecord) -> dict[str, Any]:
    survivors: Sequence[Mapping[str, Any]] = record.detail("mutation-tester", "survivors")
    run_by: Sequence[Sequence[str]] = record.detail("mutation-tester", "survivors_run_by")
    shown = [
        {
            **each,
            "lines": [(line[:1], line) for line in each["diff"].splitlines()[2:]],
            "run_by": [_linked(test) for test in names],
        }
        for each, names in zip(survivors[:_MOST_MUTANTS], run_by, strict=False)
    ]
    return {"survivors": shown, "survivors_left": len(survivors) - len(shown)}


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
