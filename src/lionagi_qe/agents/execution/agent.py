"""Runs the project's tests once, under coverage measurement, and counts them one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lionagi_qe.agents.base import Agent, Findings
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage.known_complexities import graded_beside
from lionagi_qe.agents.execution.failure_groups import failures_of, grouped
from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.execution.parallel import run_decided
from lionagi_qe.agents.execution.parallel_trial import named
from lionagi_qe.agents.execution.pytest_session import (
    last_words,
    missing_packages,
    why_not_measured,
)
from lionagi_qe.agents.execution.session_run import AGENT, run_tests
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.selection.prioritization import order_of
from lionagi_qe.display import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.project.workspace import Workspace
    from lionagi_qe.agents.selection.prioritization import TestOrder

# pytest's own failures, and its words for wrong options.
_REFUSED = frozenset({3, 4})
# Of what the first run took: less is not worth starting the second one.
_TIME_TO_CONFIRM = 1.2


class TestExecutor(Agent):
    """Counts tests and subtests by outcome, each test with its time and message."""

    name: ClassVar[str] = AGENT
    metrics: ClassVar[Mapping[str, str]] = {
        "tests_collected": "tests",
        "tests_passed": "tests",
        "tests_failed": "tests",
        "tests_errors": "tests",
        "tests_skipped": "tests",
        "tests_xfailed": "tests",
        "tests_xpassed": "tests",
        "tests_interrupted": "tests",
        "tests_not_run": "tests",
        "subtests_passed": "subtests",
        "subtests_failed": "subtests",
        "subtests_skipped": "subtests",
        "collection_errors": "files",
        "failure_groups": "failures",
        "test_seconds": "s",
        "test_sessions": "sessions",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Run pytest, in the order that was learned; see Recording for what is counted."""
        order = order_of(examination)
        async with graded_beside(examination.workspace, examination.environment):
            run = await run_decided(examination, order)
        session = run.session
        minding: list[str] = []
        notes = list(run.notes)
        if order is not None:
            if order.to_confirm:
                session, minding, more = await _confirmed(examination, session)
                notes += more
            notes = [*order.notes(minding), *notes]
        found = self.findings_of(examination, session, sessions=run.sessions)
        return replace(
            found,
            details={
                **found.details,
                **run.as_details(),
                **_order_details(examination, order, session, minding),
            },
            notes=(*found.notes, *notes),
        )

    def findings_of(
        self, examination: Examination, session: Session, *, sessions: int = 1
    ) -> Findings:
        """Return what a session, or ``sessions`` of them as one, tells of the tests."""
        recording = session.recording
        source = Source("pytest", recording.pytest, session.command, examination.workspace.commit)
        missing = missing_packages(examination, recording)
        reason = why_not_measured(session, missing)
        shown = examination.workspace.shown
        details = {
            "tests": [
                test | {"message": shown(test["message"])} if test["message"] else test
                for test in recording.as_details()
            ],
            "uncollectable": _each_shown(recording.uncollectable, shown),
            "skipped_files": _each_shown(recording.skipped_files, shown),
            "failure_groups": _each_shown(grouped(failures_of(recording)), shown),
            "missing": missing,
            "complete": recording.exit is not None
            and not (missing or recording.stopped or recording.not_run),
            "incomplete": _each_shown(_why_incomplete(session, missing), shown),
            "ended": shown(_how(session)),
            "exit_code": session.completed.exit_code,
            "plugins": list(recording.plugins),
            "overhead": recording.overhead,
            "output": examination.workspace.shown(session.completed.output),
            "coverage": coverage_data.collected(examination.workspace),
        }
        if reason is not None:
            metrics = self.unmeasured(source, shown(reason)).metrics
        else:
            seconds = _test_seconds(session, examination.workspace)
            metrics = self.measured(source, details, seconds, sessions)
        return Findings(self.name, metrics, details, tuple(_notes(session)))

    def measured(
        self, source: Source, details: Mapping[str, Any], seconds: float, sessions: int
    ) -> tuple[Metric, ...]:
        """Return the figures of tests.

        Args:
            source: of the figures.
            details: of the findings: the tests, files that could not be collected, and which of
                their failures are one.
            seconds: that the tests took.
            sessions: in how many they ran.

        """
        tests: Sequence[Mapping[str, Any]] = details["tests"]
        counts = Counter[str](test["outcome"] for test in tests)
        subtests = Counter[str]()
        for test in tests:
            subtests.update(test["subtests"])
        values = {
            "tests_collected": len(tests),
            "tests_errors": counts["error"],
            "tests_skipped": counts["skipped"] + len(details.get("skipped_files", ())),
            "collection_errors": len(details["uncollectable"]),
            "failure_groups": len(details["failure_groups"]),
            "test_seconds": round(seconds, 3),
            "test_sessions": sessions,
        }
        for name in self.metrics:
            kind, _, outcome = name.partition("_")
            if name not in values:
                values[name] = (subtests if kind == "subtests" else counts)[outcome]
        return tuple(
            source.measured(name, values[name], unit) for name, unit in self.metrics.items()
        )


def _test_seconds(session: Session, workspace: Workspace) -> float:
    return session.completed.seconds - coverage_data.report_seconds(workspace)


async def _confirmed(
    examination: Examination, session: Session
) -> tuple[Session, list[str], list[str]]:
    """Run the tests once more in pytest's own order if some fail that did not before.

    Returns:
        The session that counts, the tests that ended otherwise in it, and what to say of it.

    """
    bad = _bad(session)
    past = examination.history
    flaky = {test for test, hunts in past.flaky.items() if hunts[-1]["cause"] is not None}
    if not bad - past.failing - flaky:
        return session, [], []
    if examination.seconds(examination.settings.timeout) < _TIME_TO_CONFIRM * (
        session.completed.seconds
    ):
        return session, [], ["no time was left to see the new failures in pytest's own order, too"]
    # What the first run left must not matter, nor count as covered.
    examination.workspace.renew()
    examination.environment.within(examination.workspace)
    coverage_data.forget(examination.workspace)
    again = await run_tests(examination, "confirmed.jsonl")
    if again.recording.exit is None:
        return session, [], ["the run in pytest's own order did not end, so the first one counts"]
    return again, sorted((bad ^ _bad(again)) - flaky), []


def _bad(session: Session) -> set[str]:
    return {test.id for test in session.recording.tests.values() if test.outcome in BAD}


def _order_details(
    examination: Examination, order: TestOrder | None, session: Session, minding: list[str]
) -> dict[str, Any]:
    if order is None:
        return {}
    names = order.names_as_given(examination.workspace, list(session.recording.tests))
    return {"order": order.as_details(names, minding)}


def _why_incomplete(session: Session, missing: Mapping[str, list[str]]) -> str | None:
    """Return why the figures are not of all tests, if so."""
    recording = session.recording
    if missing:
        where = [place for places in missing.values() for place in places]
        return f"{len(where)} files or tests need what is not installed: {', '.join(missing)}"
    if recording.uncollectable:
        return f"{counted(len(recording.uncollectable), 'files')} could not be collected"
    if recording.exit is None or recording.stopped or recording.not_run:
        return f"the tests did not come to their end: pytest {_how(session)}"
    if interrupted := recording.outcomes()["interrupted"]:
        return f"{counted(interrupted, 'tests')} ended the process, or took too long"
    return None


def _how(session: Session) -> str:
    not_run = len(session.recording.not_run)
    left = counted(not_run, "tests")
    if session.recording.stopped and session.completed.stopped is None:
        return f"was stopped: the time was up, with {left} not begun"
    if session.recording.exits is not None:
        return f"was ended by pytest.exit, with {left} not run: {session.recording.exits}"
    if not not_run:
        return session.completed.how
    # Options may leave them out, and plugins end the session, with exit code 0.
    why = session.recording.why
    if why is None and session.completed.exit_code in _REFUSED:
        why = last_words(session)
    return f"{session.completed.how}, with {left} not run{f': {why}' if why else ''}"


def _each_shown(data: Any, shown: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON data
    """Return JSON data with each text as a reader knows it; see ``Workspace.shown``."""
    if isinstance(data, str):
        return shown(data)
    if isinstance(data, list | tuple):
        return [_each_shown(each, shown) for each in cast("Sequence[Any]", data)]
    if isinstance(data, dict):
        entries = cast("Mapping[str, Any]", data)
        return {name: _each_shown(each, shown) for name, each in entries.items()}
    return data


def _named(skipped: Mapping[str, str]) -> str:
    """Return the files that skip themselves, each reason once, for a sentence."""
    by_reason: dict[str, list[str]] = {}
    for file, text in skipped.items():
        lines = text.strip().splitlines()
        reason = lines[-1].removeprefix("Skipped: ") if lines else "no reason given"
        by_reason.setdefault(reason, []).append(file)
    return "; ".join(f"{named(files)} ({reason})" for reason, files in by_reason.items())


def _notes(session: Session) -> list[str]:
    notes: list[str] = []
    recording = session.recording
    if session.addopts.dropped:
        notes.append(
            "pytest options of the project left out of the measured run: "
            + " ".join(session.addopts.dropped)
        )
    if recording.deselected:
        notes.append(
            f"{counted(recording.deselected, 'tests')} deselected by the project's own options"
        )
    if recording.skipped_files:
        notes.append(
            "skip themselves as a whole, and count as one test each: "
            + _named(recording.skipped_files)
        )
    if session.stays is not None:
        notes.append(f"{session.stays.strip()}; it was ended")
    return notes
