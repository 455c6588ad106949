"""From the events that the pytest plugin wrote to one outcome a test."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.agents.execution.phases import BAD, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTCOMES = (
    "passed",
    "failed",
    "error",
    "skipped",
    "xfailed",
    "xpassed",
    "interrupted",
    "unimportable",
    "not_run",
)

# Of one test, whose subtests may all fail.
_MOST_FAILURES = 20


@dataclass(slots=True)
class Test:
    """One test of one run.

    Attributes:
        id: pytest's node id.
        outcome: one of OUTCOMES. "error": its setup or teardown failed. "interrupted": the process
            ended or was stopped while it ran. "unimportable": it needs a package that is missing.
        seconds: of setup, call and teardown together.
        shared: of these, what fixtures took that tests of other files use as well: their setup in
            the test that needed them first, and their teardown in the last one.
        message: why it did not pass.
        subtests: outcome -> how many.
        missing: the module it could not import.
        attempts: the outcome of each time that it ran; more than one if a plugin repeats it.
        failures: of each failure its errors; see ``inject/aqe_traces``.
    """

    id: str
    outcome: str = "not_run"
    seconds: float = 0.0
    shared: float = 0.0
    message: str = ""
    subtests: Counter[str] = field(default_factory=Counter[str])
    missing: str | None = None
    attempts: list[str] = field(default_factory=list[str])
    failures: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])


@dataclass(slots=True)
class Recording:
    """All that the plugin told about one pytest session.

    Attributes:
        pytest: its version; None if it never started.
        plugins: of pytest, name-version.
        tests: by id, in the order collected.
        uncollectable: file -> why its tests could not be collected.
        broken: file -> the errors that kept its tests from being collected.
        missing: file -> module that could not be imported there.
        skipped_files: file (or class) that skips itself as a whole -> why; pytest counts each as
            one that was skipped, and none of the tests in it.
        deselected: how many tests the project's options leave out.
        running: the test under way when the events ended, if any.
        collecting: the file that was imported for its tests when the events ended, if any.
        collected: whether collection came to its end.
        exit: pytest's exit status; None if the session did not end.
        internal_error: pytest's own failure.
        stopped: it was asked to end before all tests had run.
        interrupted: what the interrupt said by which the test under way ended it; None without one.
        exits: what ``pytest.exit`` was given that ended it; None if nothing called that.
        why: what ended it in its own words, by an option or a plugin, if that gave any.
        overdue: test that was ended because it took too long -> where it stood.
        seconds: from the end of collection to that of the session; None if it did not end.
    """

    pytest: str | None = None
    plugins: tuple[str, ...] = ()
    tests: dict[str, Test] = field(default_factory=dict[str, Test])
    uncollectable: dict[str, str] = field(default_factory=dict[str, str])
    broken: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    skipped_files: dict[str, str] = field(default_factory=dict[str, str])
    deselected: int = 0
    running: str | None = None
    collecting: str | None = None
    collected: bool = False
    exit: int | None = None
    internal_error: str | None = None
    overdue: dict[str, str] = field(default_factory=dict[str, str])
    stopped: bool = False
    interrupted: str | None = None
    exits: str | None = None
    why: str | None = None
    seconds: float | None = None
    # By a clock of the session's own.
    _began: float | None = None
    # Of the test that runs, before it began.
    _failed_subtests: int = 0
    # Seconds of shared fixtures that were set up since the last phase was told.
    _shared: float = 0.0
    _has_shared: bool = False
    # Of the last test that ran.
    _last: str | None = None
    _teardown: float = 0.0

    @classmethod
    def read(cls, path: Path, begins: int = 0) -> Recording:
        """Read the events of a session; a last line that is cut short is left out.

        Args:
            path: of the record.
            begins: the byte at which the session's events do, where another one's precede.

        """
        recording = cls()
        for event in _events(path, begins):
            recording._take(event)
        recording._conclude()
        return recording

    @property
    def crashed(self) -> bool:
        """Whether a test ended the session, and others may go on in another one."""
        return self.running is not None and (self.exit is None or self.interrupted is not None)

    @property
    def not_run(self) -> list[str]:
        """The tests that did not begin, in the order collected."""
        return [name for name, test in self.tests.items() if test.outcome == "not_run"]

    def continued(self, later: Recording) -> Recording:
        """Return what this session and one that went on with the rest of its tests did together."""
        tests = dict(self.tests)
        tests |= {name: test for name, test in later.tests.items() if name in self.not_run}
        return replace(
            self,
            tests=tests,
            missing={**self.missing, **later.missing},
            overdue={**self.overdue, **later.overdue},
            running=later.running,
            exit=later.exit,
            internal_error=self.internal_error or later.internal_error,
            stopped=later.stopped,
            interrupted=later.interrupted,
            exits=later.exits,
            why=later.why,
        )

    @property
    def overhead(self) -> float | None:
        """Seconds that pytest takes for a test beside its phases; None where that isn't known."""
        if self.seconds is None or not self.tests:
            return None
        phases = sum(test.seconds for test in self.tests.values())
        return max(self.seconds - phases, 0.0) / len(self.tests)

    def outcomes(self) -> Counter[str]:
        """Return outcome -> how many tests."""
        return Counter(test.outcome for test in self.tests.values())

    def subtests(self) -> Counter[str]:
        """Return outcome -> how many subtests."""
        found = Counter[str]()
        for test in self.tests.values():
            if test.subtests:
                found.update(test.subtests)
        return found

    def as_details(self) -> list[dict[str, Any]]:
        """Return the tests as JSON data."""
        # Field by field: asdict can't copy a Counter.
        return [
            {
                "id": test.id,
                "outcome": test.outcome,
                "seconds": round(test.seconds, 6),
                "shared": round(test.shared, 6),
                "message": test.message,
                "subtests": dict(test.subtests),
                "missing": test.missing,
            }
            for test in self.tests.values()
        ]

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "session":
                self.pytest, self.plugins = event["pytest"], tuple(event["plugins"])
            case "missing" if event["id"] in self.tests:
                self.tests[event["id"]].missing = event["module"]
            case "missing":
                self.missing[event["id"]] = event["module"]
            case "internal_error":
                self.internal_error = event["text"]
            case "overdue":
                self.overdue[event["id"]] = event["text"]
            case "stopped" | "interrupt" | "end":
                self._take_end(event)
            case "start" | "report" | "passed" | "finish" | "shared":
                self._take_test(event)
            case _:
                self._take_collection(event)

    def _take_end(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "stopped":
                self.stopped = True
            case "interrupt" if event["exits"]:
                self.exits = event["text"]
            case "interrupt":
                self.interrupted = event["text"]
            case _:
                self.exit, self.why = event["exit"], event.get("why")
                if self._began is not None and "at" in event:
                    self.seconds = event["at"] - self._began

    def _take_failure(self, name: str, errors: list[dict[str, Any]]) -> None:
        if name not in self.tests:
            self.broken[name] = errors
        elif len(self.tests[name].failures) < _MOST_FAILURES:
            self.tests[name].failures.append(errors)

    def _take_collection(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "collected":
                self.collected = True
                self._began = event.get("at")
                self.tests = {name: Test(name) for name in event["ids"]}
            case "collecting":
                self.collecting = event["id"] or None
            case "deselected":
                self.deselected += event["count"]
            case "failure":
                self._take_failure(event["id"], event["errors"])
            case "uncollectable":
                self.uncollectable[event["id"]] = event["text"]
            case "module_skipped":
                self.skipped_files[event["id"]] = event["text"]
            case _:
                # "listening" is for whoever follows the session.
                pass

    def _take_test(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "start":
                self.running = event["id"]
                self._failed_subtests = self._subtests_failed(event["id"])
            case "report":
                self._take_report(self.tests.setdefault(event["id"], Test(event["id"])), event)
            case "passed":
                self._take_passed(event["id"], event["phases"])
            case "shared":
                self._shared += event["seconds"]
                self._has_shared = True
            case _:
                self._take_passed(event["id"], event["passed"])
                self.running = None
                self._take_attempt(event["id"])

    def _subtests_failed(self, test: str) -> int:
        return self.tests[test].subtests["failed"] if test in self.tests else 0

    def _take_attempt(self, name: str) -> None:
        test = self.tests.setdefault(name, Test(name))
        failed = self._subtests_failed(name) > self._failed_subtests
        test.attempts.append("failed" if test.outcome == "passed" and failed else test.outcome)

    def _take_passed(self, name: str, phases: list[tuple[str, float]]) -> None:
        test = self.tests.setdefault(name, Test(name))
        for when, seconds in phases:
            self._take_phase(test, when, seconds)
            if when == "call" and test.outcome not in BAD:
                test.outcome = "passed"

    def _take_report(self, test: Test, event: dict[str, Any]) -> None:
        if event["subtest"] is not None:
            test.subtests[event["outcome"]] += 1
            if event["outcome"] == "failed":
                test.message += f"{event['subtest']}\n{event['text']}\n"
            return
        if event["outcome"] == "rerun":
            # pytest-rerunfailures hides a failure and tries again.
            test.attempts.append("failed")
        self._take_phase(test, event["when"], event["seconds"])
        outcome = outcome_of(event["when"], event["outcome"], xfail=event["xfail"])
        if outcome is not None and test.outcome not in BAD:
            test.outcome = outcome
        if outcome in BAD or outcome in {"skipped", "xfailed"}:
            test.message += event["text"]

    def _take_phase(self, test: Test, when: str, seconds: float) -> None:
        if when == "setup":
            # A plugin may run a test again; its last attempt counts.
            test.outcome, test.seconds, test.shared, test.message = "not_run", 0.0, 0.0, ""
            test.failures.clear()
        test.seconds += seconds
        test.shared += min(self._shared, seconds)
        self._shared = 0.0
        self._last, self._teardown = test.id, seconds if when == "teardown" else 0.0

    def _conclude(self) -> None:
        if self._has_shared and self._last is not None:
            self.tests[self._last].shared += self._teardown
        for test in self.tests.values():
            if test.outcome == "passed" and test.subtests["failed"]:
                test.outcome = "failed"
        for name in self.overdue.keys() & self.tests.keys():
            # Whatever the error that ended it was made into by what it met on its way.
            test = self.tests[name]
            test.outcome = "interrupted"
            test.message = f"ended, as it took too long; it stood at:\n{self.overdue[name]}"
            test.attempts[-1:] = ["interrupted"]
        if self.running is not None and self.crashed:
            test = self.tests.setdefault(self.running, Test(self.running))
            test.outcome = "interrupted"
            test.message += self.interrupted or ""
            test.attempts.append("interrupted")


def read_event(line: bytes) -> dict[str, Any]:
    """Return an event from its line in a record."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # Node ids may hold lone surrogates (file names), which no other place accepts.
        return _speakable(json.loads(line))


def _events(path: Path, begins: int) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as lines:
        lines.seek(begins)
        for line in lines:
            if line.endswith(b"\n"):
                yield read_event(line)


def _speakable(data: Any) -> Any:  # noqa: ANN401 - JSON data
    if isinstance(data, str):
        return data if data.isascii() else data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, list):
        return [_speakable(item) for item in data]
    if isinstance(data, dict):
        return {key: _speakable(value) for key, value in data.items()}
    return data
