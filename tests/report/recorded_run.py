"""Runs as a memory keeps them, of any size and with any text in them; nothing is examined."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.coverage.line_ranges import as_text
from lionagi_qe.agents.finding import Finding
from lionagi_qe.agents.metric import Metric, Source
from lionagi_qe.fleet.comparison import Comparison, Since, Slower
from lionagi_qe.fleet.examined_source import content_name
from lionagi_qe.fleet.project_past import ProjectPast
from lionagi_qe.fleet.run_record import RunRecord
from lionagi_qe.fleet.trends import PastRun

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMITS = ("a" * 40, "b" * 40)
# Every tenth of the tests fails in the last run, and the first of them also in one before.
_EACH_FAILING = 10
_SECONDS = 0.25
_FUNCTION = '''\
def priced_{n}(amount, rate):
    """Return what an amount costs at a rate, {text}"""
    total = amount * rate  # as agreed on
    if total > {n}:
        return total - {n}
    for step in range(amount):
        total += step
    return total

'''


@dataclass(frozen=True)
class Recorded:
    """A run, the project's past, and its source."""

    record: RunRecord
    past: ProjectPast
    texts: dict[str, str]


@dataclass(frozen=True)
class Size:
    """How much a run has to tell."""

    tests: int = 25
    files: int = 3
    functions: int = 4
    runs: int = 4
    mutants: int = 3
    findings: int = 4


def recorded_run(size: Size | None = None, text: str = "") -> Recorded:
    """Return a run in which all that a project has a say in holds a text."""
    return _Making(size or Size(), text).run()


class _Making:
    def __init__(self, size: Size, text: str) -> None:
        self.size = size
        self.text = text
        self.ids = [f"tests/test_{n % 97}.py::test_{n}[{text}]" for n in range(size.tests)]
        self.files = [f"src/shop/{text.replace('/', '_')}part_{n}.py" for n in range(size.files)]
        self.runs = [f"20270101T{n:06}.000000Z-{n:06x}" for n in range(size.runs)]
        self.source = Source(f"tool{text}", "1.2", f"tool --run {text}", COMMITS[1])

    def run(self) -> Recorded:
        texts = {file: self.python() for file in self.files}
        record = RunRecord(
            self.runs[-1],
            f"shop{self.text}",
            f"/home/me/shop{self.text}",
            COMMITS[1],
            "2027-01-01T00:00:00+00:00",
            "3.13.1",
            f"built {self.text}",
            ("src/shop",),
            f"what the build ships {self.text}",
            {found.agent: found for found in self.findings()},
            self.comparison(),
            ("regression-selector",),
            [f"a note {self.text}"],
            {
                file: content_name(text.encode(errors="surrogatepass"))
                for file, text in texts.items()
            },
        )
        return Recorded(record, self.past(), texts)

    def python(self) -> str:
        functions = range(self.size.functions)
        return "".join(_FUNCTION.format(n=n, text=self.text) for n in functions)

    def outcome(self, number: int, run: int) -> str:
        fails = number % _EACH_FAILING == 0 and (
            run == self.size.runs - 1 or (number, run) == (0, 1)
        )
        return "failed" if fails else "passed"

    def findings(self) -> list[Findings]:
        return [
            self.executor(),
            self.coverage(),
            self.static(),
            self.flaky(),
            self.mutation(),
            self.generator(),
            self.gate(),
        ]

    def executor(self) -> Findings:
        last = self.size.runs - 1
        tests: list[dict[str, Any]] = []
        for number, name in enumerate(self.ids):
            outcome = self.outcome(number, last)
            message = f"E  assert {number} == 1\n{self.text}" if outcome == "failed" else ""
            seconds = _SECONDS + number / 1000
            tests.append({"id": name, "outcome": outcome, "seconds": seconds, "message": message})
        failed = sum(test["outcome"] == "failed" for test in tests)
        figures = {
            "tests_collected": len(tests),
            "tests_passed": len(tests) - failed,
            "tests_failed": failed,
            "tests_errors": 0,
            "tests_skipped": 0,
        }
        metrics = [self.source.measured(name, value, "tests") for name, value in figures.items()]
        metrics.append(self.source.measured("test_seconds", 12.5, "s"))
        failing = [test["id"] for test in tests if test["outcome"] == "failed"]
        groups = self.failures(failing) if failing else []
        metrics.append(self.source.measured("failure_groups", len(groups), "failures"))
        broken = {f"tests/broken{self.text}.py": f"ImportError: {self.text}"}
        details = {"tests": tests, "uncollectable": broken, "failure_groups": groups}
        return Findings("test-executor", tuple(metrics), details)

    def failures(self, failing: list[str]) -> list[dict[str, Any]]:
        gone = {"run": f"{self.runs[1]}{self.text}", "commit": self.text or COMMITS[0]}
        return [
            {
                "id": f"{number:012x}",
                "place": ["AssertionError", f"tests/test_{number}.py {self.text}"],
                "located": True,
                "texts": [self.text],
                "message": f"AssertionError: {number} {self.text}",
                "tests": part,
                "before": {
                    "runs": [f"{self.runs[0]}{self.text}"],
                    "commit": self.text or COMMITS[0],
                    "gone": gone | {"commits": 1},
                },
            }
            for number, part in enumerate((failing[:-1], failing[-1:]))
            if part
        ]

    def coverage(self) -> Findings:
        length = 9 * self.size.functions
        missed = [line for line in range(1, length) if line % 9 in {6, 7}]
        ran = [line for line in range(1, length) if line % 9 in {1, 3, 4, 5, 8}]
        measured = {
            file: {
                "ran": as_text(ran),
                "missed": as_text(missed),
                "missed_branches": [[4, 6], [8, -1]],
            }
            for file in self.files
        }
        files = [
            {
                "file": file,
                "lines": len(ran) + len(missed),
                "lines_covered": len(ran),
                "branches": 8,
                "branches_covered": 6,
            }
            for file in self.files
        ]
        gaps = [
            {
                "file": file,
                "function": f"priced_{n}{self.text}",
                "line": 9 * n + 1,
                "missed_lines": [9 * n + 6, 9 * n + 7],
                "lines": 7,
                "missed_branches": 1,
                "complexity": 3 + n,
            }
            for file in self.files
            for n in range(self.size.functions)
        ]
        metrics = (
            self.source.measured("line_coverage", 71.43, "%"),
            self.source.measured("lines_covered", len(ran) * len(files), "lines"),
            self.source.measured("lines", (len(ran) + len(missed)) * len(files), "lines"),
            self.source.measured("branch_coverage", 75.0, "%"),
            self.source.measured("branches_covered", 6 * len(files), "branches"),
            self.source.measured("branches", 8 * len(files), "branches"),
            self.source.measured("diff_coverage", 50.0, "%"),
            self.source.measured("gaps", len(gaps), "functions"),
        )
        changed = {
            "ref": f"main{self.text}",
            "total": 4,
            "covered": 2,
            "missed": {self.files[0]: "6-7"},
        }
        details = {"files": files, "measured_lines": measured, "gaps": gaps}
        details["changed_lines"] = changed
        return Findings("coverage-analyzer", metrics, details)

    def static(self) -> Findings:
        found = [
            asdict(
                Finding(
                    "bandit",
                    "1.8",
                    f"B602{self.text}",
                    "shell",
                    "error",
                    f"subprocess call with shell=True {self.text}",
                    self.files[n % len(self.files)],
                    line=3,
                    url=f"javascript:alert({n})" if n % 2 else f"https://example.org/{self.text}",
                )
            )
            for n in range(self.size.findings)
        ]
        tools = [
            {"tool": "radon", "version": "6", "command": "radon", "reason": self.text or "gone"}
        ]
        names = ("security_findings", "security_notes", "secrets", "complex_functions")
        metrics = [self.source.measured(name, len(found), "findings") for name in names]
        metrics.append(self.source.measured("static_findings_new", 1, "findings"))
        return Findings("static-analyzer", tuple(metrics), {"findings": found, "tools": tools})

    def flaky(self) -> Findings:
        flaky = {
            "id": self.ids[1],
            "runs": 60,
            "failures": 5,
            "rate": 0.0833,
            "low": 0.0361,
            "high": 0.1807,
            "draws": 60,
            "varied": "random seeds",
            "cause": "randomness",
            "causes": ["randomness"],
            "confirmed": True,
            "evidence": f"failed with random seed 7 {self.text}",
            "past": None,
            "repeat": ["--seed", "7", "--at", self.text],
            "repeat_shows": "fail",
        }
        metrics = (
            self.source.measured("flaky_tests", [self.ids[1]], "tests"),
            self.source.measured("flaky_sessions", 35, "sessions"),
            self.source.measured("flaky_rate_limit", 6.42, "%"),
        )
        details = {"flaky": [flaky], "not_idempotent": [self.ids[2]]}
        return Findings("flaky-test-hunter", metrics, details)

    def mutation(self) -> Findings:
        survivors = [
            {
                "file": self.files[n % len(self.files)],
                "line": 4,
                "function": f"priced_0{self.text}",
                "operator": "relation",
                "changed": n == 0,
                "tests": 2,
                "judged_nothing": [self.ids[0]],
                "diff": "--- a\n+++ b\n@@ -3,3 +3,3 @@\n-    if total > 0:\n"
                f"+    if total >= 0:  # {self.text}\n",
            }
            for n in range(self.size.mutants)
        ]
        figures = ("mutants", "tried", "killed", "timed_out", "survived", "uncovered")
        metrics = (
            self.source.measured("mutation_score", 80.0, "%"),
            self.source.measured("mutation_score_low", 71.1, "%"),
            self.source.measured("mutation_score_high", 86.7, "%"),
            *(
                self.source.measured(
                    f"mutants_{name}".replace("mutants_mutants", "mutants"), n, "mutants"
                )
                for n, name in enumerate(figures, 20)
            ),
        )
        run_by = [[self.ids[0], self.ids[3]]] * len(survivors)
        details = {"survivors": survivors, "survivors_run_by": run_by}
        return Findings("mutation-tester", metrics, details)

    def generator(self) -> Findings:
        test = {
            "file": self.files[0],
            "function": f"priced_0{self.text}",
            "source": f"def test_priced():\n    assert {self.text!r}\n",
            "lines_added": [6, 7],
            "mutants_tried": 3,
            "mutants_killed": 2,
        }
        bug = test | {"message": f"AssertionError {self.text}"}
        left = {"file": self.files[0], "function": f"other{self.text}", "why": f"why {self.text}"}
        names = ("candidates_proposed", "candidates_built", "candidates_passed", "generated_tests")
        metrics = (
            *(self.source.measured(name, 1, "tests") for name in names),
            self.source.measured("generated_lines", 2, "lines"),
            self.source.measured("generated_kills", 2, "mutants"),
        )
        details = {"tests": [test], "possible_bugs": [bug], "rejected": [left]}
        return Findings("test-generator", metrics, details)

    def gate(self) -> Findings:
        rulings = [
            {"rule": "all tests pass", "verdict": "failed", "detail": f"3 did not {self.text}"},
            {"rule": f"rule {self.text}", "verdict": "not measured", "detail": "no tool"},
        ]
        metric = self.source.measured("gate", "failed", "verdict")
        return Findings("quality-gate", (metric,), {"rulings": rulings})

    def comparison(self) -> Comparison:
        return Comparison(
            self.runs[-2],
            tuple(self.ids[5:7]),
            (f"tests/test_gone.py::test_gone[{self.text}]",),
            tuple(self.ids[:1]),
            tuple(self.ids[7:8]),
            (Slower(self.ids[8], 2.5, 0.25, 9),),
            {"line_coverage": (70.0, 71.43)},
            skipped=(f"{self.runs[0]}{self.text}",),
            newly_untested=(f"priced_0{self.text} ({self.files[0]}:1)",),
            failing_since={self.ids[0]: Since(f"{self.runs[0]}{self.text}", "0123abc", 3)},
            untested_since={
                f"priced_1{self.text} ({self.files[0]}:1)": Since(self.runs[0], "0123abc", 4)
            },
        )

    def past(self) -> ProjectPast:
        runs = [
            PastRun(run, {"coverage-analyzer": [self.covered(n)]})
            for n, run in enumerate(self.runs)
        ]
        tests = {name: self.records(number) for number, name in enumerate(self.ids)}
        hunts = {self.ids[4]: [{"run": self.runs[0], "cause": "order", "runs": 20, "failures": 2}]}
        return ProjectPast(runs, tests, hunts)

    def covered(self, run: int) -> Metric:
        commit = COMMITS[1] if run == self.size.runs - 1 else COMMITS[0]
        source = Source("coverage.py", "7.10", "coverage json", commit)
        return source.measured("line_coverage", 60.0 + run, "%")

    def records(self, test: int) -> Sequence[dict[str, Any]]:
        return [
            {"run": name, "outcome": self.outcome(test, run), "seconds": _SECONDS + run / 100}
            for run, name in enumerate(self.runs)
        ]
