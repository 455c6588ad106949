"""Reads the coverage of the test run: per file, per function, and where the largest gaps are."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage.changed_lines import ChangedLines
from lionagi_qe.agents.coverage.contexts import read_map
from lionagi_qe.agents.coverage.known_complexities import KnownComplexities, path_of
from lionagi_qe.agents.coverage.line_ranges import as_text, posix
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project import complexity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.metric import Metric

TOOL = "coverage.py"
MOST_GAPS = 200
_TIMEOUT = 300.0
_IT_IS_COVERAGE = (
    "the project is coverage.py itself, which can't measure the process in which it is tested; its "
    "tests ran without"
)
_NO_CODE = (
    "the project has no Python code to measure (an extension module is none); if it has, name it "
    "in [tool.aqe] source"
)


class CoverageAnalyzer(Agent):
    """Line and branch coverage, and functions with missed lines, the worst first."""

    name: ClassVar[str] = "coverage-analyzer"
    after: ClassVar[tuple[str, ...]] = ("test-executor",)
    needs: ClassVar[tuple[str, ...]] = ("test-executor",)
    metrics: ClassVar[Mapping[str, str]] = {
        "line_coverage": "%",
        "branch_coverage": "%",
        "lines": "lines",
        "lines_covered": "lines",
        "branches": "branches",
        "branches_covered": "branches",
        "gaps": "functions",
        "diff_coverage": "%",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Combine and read the data of the test run."""
        examination.progress(Step(self.name, "reading coverage"))
        tests = examination.findings.get("test-executor")
        workspace = examination.workspace
        commit = workspace.commit
        reason = _no_run(tests)
        if reason is not None:
            return self.unmeasured(Source(TOOL, None, None, commit), reason)
        if not examination.environment.layout.scope:
            return self.unmeasured(Source(TOOL, None, None, commit), _NO_CODE)
        if not examination.environment.can_measure:
            return self.unmeasured(Source(TOOL, None, None, commit), _IT_IS_COVERAGE)
        coverage_data.put_in_place(examination, tests)
        report, problem = await _report(examination)
        if report is None:
            return self.unmeasured(Source(TOOL, None, None, commit), problem)
        command = shlex.join(["python", "-m", "coverage", "run", "--branch", "-m", "pytest"])
        source = Source(TOOL, report["meta"]["version"], command, commit)
        totals = report["totals"]
        if not totals["covered_lines"] and not any(
            file["executed_lines"] for file in report["files"].values()
        ):
            return self.unmeasured(source, _nothing_ran(examination))
        known = KnownComplexities(path_of(workspace, examination.environment))
        gaps, ungraded = _gaps(report, workspace.source, known)
        known.keep()
        diff = examination.diff
        changed = None if diff is None else ChangedLines.of(report, diff)
        return Findings(
            self.name,
            (*self._measure(source, totals, gaps), _of_changes(source, changed)),
            details={
                "files": _files(report),
                "measured_lines": _measured_lines(report),
                "gaps": gaps or [],
                "changed_lines": None if changed is None else asdict(changed),
            }
            | await _mapped(examination),
            notes=(*_incompleteness(tests), *ungraded),
        )

    def _measure(
        self, source: Source, totals: dict[str, Any], gaps: list[dict[str, Any]] | None
    ) -> list[Metric]:
        values: dict[str, Any] = {
            "line_coverage": percent(totals["covered_lines"], totals["num_statements"]),
            "branch_coverage": percent(totals["covered_branches"], totals["num_branches"]),
            "lines": totals["num_statements"],
            "lines_covered": totals["covered_lines"],
            "branches": totals["num_branches"],
            "branches_covered": totals["covered_branches"],
            "gaps": None if gaps is None else gaps[:MOST_GAPS],
        }
        graded = Source(
            f"{source.tool} + {complexity.TOOL}",
            f"{source.version} + {complexity.VERSION}",
            source.command,
            source.commit,
        )
        return [
            _metric(graded if name == "gaps" else source, name, values[name], unit)
            for name, unit in self.metrics.items()
            if name in values
        ]


async def _mapped(examination: Examination) -> dict[str, Any]:
    """Return, as details, which test ran which line; or why that is not known."""
    if not examination.wants_map:
        return {"no_map": "it was not asked for"}
    tests = examination.findings["test-executor"].details
    if not tests["complete"] and not tests["missing"]:
        return {"no_map": str(tests["incomplete"])}
    if unmapped := tests.get(coverage_data.UNMAPPED):
        return {"no_map": unmapped}
    found = await read_map(examination, [test["id"] for test in tests["tests"]])
    return {"no_map": found} if isinstance(found, str) else {"test_map": found}


def _of_changes(source: Source, changed: ChangedLines | None) -> Metric:
    """Return the line coverage of what changed since the base."""
    if changed is None:
        return source.unmeasured("diff_coverage", "%", "no base to compare with: --base REF")
    share = percent(changed.covered, changed.total)
    if share is None:
        reason = f"no line of code changed since {changed.ref}"
        return source.unmeasured("diff_coverage", "%", reason)
    return source.measured("diff_coverage", share, "%")


def _metric(source: Source, name: str, value: Any, unit: str) -> Metric:  # noqa: ANN401
    if value is not None:
        return source.measured(name, value, unit)
    if name == "gaps":
        reason = f"coverage.py {source.version} does not tell functions apart; use 7.6 or newer"
    else:
        reason = "the code has no branches" if name.startswith("branch") else "there is no code"
    return source.unmeasured(name, unit, reason)


def percent(covered: int, total: int) -> float | None:
    """Return a share in percent, rounded down to two places; None of nothing."""
    # Rounded down: 99.999 is not 100, and a gate must not see it so.
    return None if total == 0 else (10_000 * covered // total) / 100


def _incompleteness(tests: Findings | None) -> list[str]:
    why = None if tests is None else tests.details["incomplete"]
    return [] if why is None else [f"coverage is of what ran: {why}"]


def _no_run(tests: Findings | None) -> str | None:
    if tests is None:
        return "the test run failed, so nothing was covered"
    collected = tests.metric("tests_collected")
    if collected is None or not collected.measured:
        return "the tests were not measured"
    if tests.details["coverage"]["files"]:
        return None
    if not tests.details["complete"]:
        return f"the test run did not come to its end (it {tests.details['ended']})"
    return None


def _nothing_ran(examination: Examination) -> str:
    names = ", ".join(sorted(examination.environment.layout.names)) or "no package or module found"
    return f"no line of the project's own code ran in the tests (looked for: {names})"


async def _report(examination: Examination) -> tuple[dict[str, Any] | None, str]:
    """Return coverage.py's JSON report, or None and what it said instead."""
    workspace, environment = examination.workspace, examination.environment
    target = coverage_data.report_path(workspace)
    if coverage_data.reported(workspace):
        return _kept(examination, target), ""
    completed = await process.run(
        environment.command("aqe_coverage", str(workspace.artifacts / "coveragerc"), str(target)),
        cwd=workspace.source,
        env=environment.variables(workspace),
        log=workspace.artifacts / "coverage.log",
        timeout=examination.seconds(_TIMEOUT),
    )
    if completed.exit_code != 0:
        said = workspace.shown(completed.output).strip().splitlines()
        return None, f"coverage combine and json {completed.how}: {said[-1] if said else ''}"
    return _kept(examination, target), ""


def _kept(examination: Examination, report: Path) -> dict[str, Any]:
    content = report.read_bytes()
    coverage_data.keep_report(examination.workspace, examination.environment, content)
    return orjson.loads(content)


def _files(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "file": posix(name),
            "lines": file["summary"]["num_statements"],
            "lines_covered": file["summary"]["covered_lines"],
            "branches": file["summary"]["num_branches"],
            "branches_covered": file["summary"]["covered_branches"],
        }
        for name, file in sorted(report["files"].items())
    ]


def _measured_lines(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return file -> which lines ran, which did not, and branches that were not taken.

    A branch is the line that it is on and the one that it leads to, negative where it leaves the
    function. "branches" has, for each line with some, how many it has and how many were taken.
    """
    return {
        posix(name): {
            "ran": as_text(file["executed_lines"]),
            "missed": as_text(file["missing_lines"]),
            "missed_branches": file.get("missing_branches", []),
            "branches": _branches(file),
        }
        for name, file in report["files"].items()
    }


def _branches(file: dict[str, Any]) -> list[list[int]]:
    taken = Counter(line for line, _ in file.get("executed_branches", ()))
    total = taken + Counter(line for line, _ in file.get("missing_branches", ()))
    return [[line, total[line], taken[line]] for line in sorted(total)]


def _gaps(
    report: dict[str, Any], source: Path, complexities: KnownComplexities
) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Return the functions with missed lines or branches, ranked, and files without complexity.

    The rank is missed lines times cyclomatic complexity: what is both long and tangled comes first.
    """
    if not all("functions" in file for file in report["files"].values()):
        return None, []
    gaps: list[dict[str, Any]] = []
    ungraded: list[str] = []
    for name, file in report["files"].items():
        missed = {
            function: region
            for function, region in file["functions"].items()
            if region["missing_lines"] or region.get("missing_branches")
        }
        if not missed:
            continue
        known, problem = complexities.of(source / name)
        if problem is not None:
            ungraded.append(f"complexity of {posix(name)} not measured: {problem}")
        gaps += [
            _gap(posix(name), function, region, known.get(function))
            for function, region in missed.items()
        ]
    return sorted(gaps, key=_rank), ungraded


def _gap(file: str, function: str, region: dict[str, Any], tangle: int | None) -> dict[str, Any]:
    return {
        "file": file,
        "function": function or "(module)",
        "line": _first_line(region),
        "missed_lines": region["missing_lines"],
        "lines": region["summary"]["num_statements"],
        "missed_branches": len(region.get("missing_branches", [])),
        "complexity": tangle,
    }


def _first_line(region: dict[str, Any]) -> int:
    missed: list[int] = region["missing_lines"]
    executed: list[int] = region["executed_lines"]
    return region.get("start_line") or min(missed + executed, default=1)


def _rank(gap: dict[str, Any]) -> tuple[int, int, str, int]:
    missed = len(gap["missed_lines"])
    return (-missed * (gap["complexity"] or 1), -gap["missed_branches"], gap["file"], gap["line"])
