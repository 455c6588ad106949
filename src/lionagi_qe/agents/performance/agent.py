"""Compares durations of tests, and medians of benchmarks, with those of earlier runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.execution.parallel import POLICY
from lionagi_qe.agents.execution.pytest_session import last_words, run_pytest
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.performance.slower import RECENT, Course, Judged, Slower, judge
from lionagi_qe.agents.scan import Scan, details_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.history import Records
    from lionagi_qe.agents.metric import Metric

PLUGIN = "pytest-benchmark"
# Its place in a course: after all runs that the memory holds.
_NOW = "~"
_TIMEOUT = 1800.0
# Options by which a project leaves benchmarks out of its ordinary test runs.
_NOT_NOW = ("--benchmark-disable", "--benchmark-skip")
_NO_TESTS = 5
_NONE_RAN = "no benchmarks have been run"
_FEW_RUNS = (
    f"there are too few earlier runs: the last {RECENT} are compared with 5 or more before them"
)
# Medians are of many rounds, and benchmarks of what is short.
_LEAST_BENCHMARK_SECONDS = 0.0


class PerformanceTester(Agent):
    """What takes longer in the last runs than in those before, beyond what chance explains.

    What slows all tests alike, such as another machine, is taken out, and told by itself.
    """

    name: ClassVar[str] = "performance-tester"
    after: ClassVar[tuple[str, ...]] = ("test-executor",)
    needs: ClassVar[tuple[str, ...]] = ("test-executor",)
    # Benchmarks beside others measure the others.
    elastic: ClassVar[bool] = True
    # The history of all tests would go along.
    at_home: ClassVar[bool] = True
    wants_durations: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "tests_slower": "tests",
        "tests_compared": "tests",
        "tests_time_ratio": "ratio",
        "benchmarks": "benchmarks",
        "benchmarks_slower": "benchmarks",
        "benchmarks_compared": "benchmarks",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Compare what the tests took; run the benchmarks, where there are some, and compare."""
        executor = examination.findings["test-executor"]
        version = next((each.version for each in executor.metrics), None)
        pytest = Source("pytest", version, "pytest", examination.workspace.commit)
        courses = courses_of(executor, examination.history.durations)
        tests = judge(courses) if courses else None
        examination.progress(Step(self.name, "running the benchmarks"))
        bench = await _benchmarks(examination, executor)
        found: list[Finding] = []
        metrics = [*self._of_tests(pytest, tests)]
        if tests is not None:
            found += (_finding(pytest, "slower-test", each) for each in tests.slower)
        benchmarks = bench.judged(examination.history.benchmarks)
        metrics += self._of_benchmarks(bench, benchmarks)
        found += (_finding(bench.source, "slower-benchmark", each) for each in benchmarks.slower)
        reason = None if tests is not None and tests.compared else _FEW_RUNS
        scans = (Scan(pytest, reason=reason), Scan(bench.source, reason=bench.reason))
        details = details_of(scans, fingerprinted(found, examination.workspace.pristine))
        return Findings(self.name, tuple(metrics), details | {"benchmarks": bench.as_details()})

    def _of_tests(self, source: Source, tests: Judged | None) -> Iterator[Metric]:
        if tests is None or not tests.compared:
            for name in ("tests_slower", "tests_compared", "tests_time_ratio"):
                yield source.unmeasured(name, self.metrics[name], _FEW_RUNS)
            return
        yield source.measured("tests_slower", len(tests.slower), "tests")
        yield source.measured("tests_compared", tests.compared, "tests")
        if tests.speed is None:
            reason = "there are too few tests that take a millisecond or more"
            yield source.unmeasured("tests_time_ratio", "ratio", reason)
        else:
            yield source.measured("tests_time_ratio", round(tests.speed, 3), "ratio")

    def _of_benchmarks(self, bench: _Benchmarks, judged: Judged) -> Iterator[Metric]:
        source, unit = bench.source, "benchmarks"
        yield source.told("benchmarks", len(bench.seconds), unit, bench.reason)
        reason = bench.reason or (None if judged.compared else _FEW_RUNS)
        yield source.told("benchmarks_slower", len(judged.slower), unit, reason)
        yield source.told("benchmarks_compared", judged.compared, unit, reason)


@dataclass(frozen=True, slots=True)
class _Benchmarks:
    """The benchmarks of this run: id -> median seconds; or why there are none."""

    source: Source
    seconds: Mapping[str, float]
    reason: str | None = None

    def judged(self, past: Mapping[str, Records]) -> Judged:
        """Compare them with what earlier runs recorded."""
        courses = {
            name: {each["run"]: each["seconds"] for each in past.get(name, ())} | {_NOW: seconds}
            for name, seconds in self.seconds.items()
        }
        return judge(courses, _LEAST_BENCHMARK_SECONDS)

    def as_details(self) -> list[dict[str, Any]]:
        """Return them as JSON data, by which they are remembered."""
        return [{"id": name, "seconds": seconds} for name, seconds in self.seconds.items()]


def courses_of(executor: Findings, past: Mapping[str, Records]) -> dict[str, Course]:
    """Return test -> run -> seconds, this run last, of tests that passed in runs like this one.

    Args:
        executor: the findings of this run's tests.
        past: test -> its records, the latest last.

    """
    sessions = executor.details.get(POLICY, {}).get("sessions", 1)
    courses: dict[str, Course] = {}
    for test in executor.details.get("tests", ()):
        if test["outcome"] != "passed" or test["seconds"] <= 0:
            continue
        course = {
            each["run"]: each["seconds"]
            for each in past.get(test["id"], ())
            if each["outcome"] == "passed"
            and each.get("sessions", 1) == sessions
            and each["seconds"] > 0
        }
        courses[test["id"]] = course | {_NOW: test["seconds"]}
    return courses


async def _benchmarks(examination: Examination, executor: Findings) -> _Benchmarks:
    plugins = executor.details.get("plugins", ())
    installed = next((each for each in plugins if each.startswith(f"{PLUGIN}-")), None)
    commit = examination.workspace.commit
    if installed is None:
        source = Source(PLUGIN, None, None, commit)
        return _Benchmarks(source, {}, f"{PLUGIN} is not among the project's test requirements")
    source = Source(PLUGIN, installed.removeprefix(f"{PLUGIN}-"), "pytest --benchmark-only", commit)
    with examination.workspace.fork("benchmarks") as fork:
        target = fork.artifacts / "benchmarks.json"
        session = await run_pytest(
            examination.within(fork),
            fork.artifacts / "benchmarks.jsonl",
            arguments=[
                *("-p", "no:cacheprovider", "--continue-on-collection-errors"),
                *("--benchmark-only", f"--benchmark-json={target}"),
            ],
            timeout=examination.seconds(_TIMEOUT),
            leave_out=_NOT_NOW,
        )
        shown = examination.workspace.shown(fork.shown(last_words(session)))
        if session.completed.stopped is not None or session.recording.exit is None:
            return _Benchmarks(source, {}, f"pytest {session.completed.how}: {shown}")
        told = target.read_text(encoding="utf-8") if target.exists() else ""
    ran = any(test.outcome == "passed" for test in session.recording.tests.values())
    # A warning, which a project may have made an error.
    none_ran = _NONE_RAN in session.completed.output
    if not told and not ran and (none_ran or session.recording.exit in {0, _NO_TESTS}):
        return _Benchmarks(source, {}, "the project has no benchmarks")
    try:
        found = {
            each["fullname"]: each["stats"]["median"] for each in json.loads(told)["benchmarks"]
        }
    except (ValueError, LookupError):
        return _Benchmarks(source, {}, f"pytest {session.completed.how}: {shown}")
    if not found:
        return _Benchmarks(source, {}, "the project has no benchmarks")
    return _Benchmarks(source, {name: seconds for name, seconds in found.items() if seconds > 0})


def _finding(source: Source, rule: str, slower: Slower) -> Finding:
    shift = slower.shift
    since = "" if slower.since is None else f", since run {slower.since}"
    if slower.since == _NOW:
        since = ", since this run"
    return Finding(
        source.tool,
        str(source.version),
        rule,
        rule.replace("-", " "),
        "warning",
        f"{slower.id} takes {slower.now:.4g} s, {shift.ratio:.2f} times what it took before "
        f"(95 % interval {shift.low:.2f} to {shift.high:.2f}, the last {RECENT} runs against "
        f"{slower.runs} before{since})",
        slower.id.partition("::")[0],
        fingerprint=slower.id,
    )
