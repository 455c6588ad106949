"""Decides whether tests run in one session or in several side by side, and what is remembered.

The tests of a project run side by side once that was seen to change nothing: a run in one session,
which counts, and one side by side on the same sources agreed in each test's outcome and in the
lines and branches of each file. What was found holds until the tests change. Whatever deviates
later is run again in one session, which counts.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.execution.parallel_run import MERGE_SECONDS, run_parallel
from lionagi_qe.agents.execution.parallel_trial import (
    baseline_of,
    deviations,
    differing_files,
    differing_tests,
    fingerprint_of,
    named,
)
from lionagi_qe.agents.execution.pytest_options import addopts_of
from lionagi_qe.agents.execution.session_run import run_tests
from lionagi_qe.agents.execution.sharding import (
    MOST_SESSIONS,
    divided,
    longest_shard,
    shards_of,
    told,
)
from lionagi_qe.agents.project.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.outcomes import Recording
    from lionagi_qe.agents.execution.parallel_run import ParallelRun
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.project.workspace import Workspace
    from lionagi_qe.agents.selection.prioritization import TestOrder

# The name of what is learned of it.
POLICY = "parallel"
# What sessions side by side cost beside the tests: copies, and one start of Python that brings
# coverage.py's data together. Where it is more, the comparison shows it.
_OVERHEAD_SECONDS = 1.0
# Expected, or measured: less is not worth that other tests wait for a core meanwhile.
_EXPECTED_SHARE = 0.8
# To compare costs a run, which quick tests would take many runs to pay back.
_EXPECTED_GAIN_SECONDS = 1.0
_MEASURED_SHARE = 0.9
# The machine may have had other work while the two were compared.
_SLOWER_HOLDS = timedelta(days=7)
# Their users say with these that a test needs others to have run before.
_ORDERING = ("pytest-dependency-", "pytest-order-", "pytest-ordering-", "pytest-steps-")
# A comparison may take one in so many parts of the time that is left.
_SHARES_OF_BUDGET = 10
# Where sessions side by side take longer than so many times one session and this, the tests seem to
# wait for each other.
_TIMES_ONE_SESSION = 2.0
_LEAST_ALLOWED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class TestRun:
    """The tests' run that counts.

    Attributes:
        session: all of it, as if it were one session.
        sessions: in how many it ran.
        notes: what a reader should know of that.
        found: what was found and is to be remembered, JSON data; None for nothing new.
        about: the name under which that is remembered.
    """

    __test__ = False

    session: Session
    sessions: int = 1
    notes: tuple[str, ...] = ()
    found: Mapping[str, Any] | None = None
    about: str = ""

    def as_details(self) -> dict[str, Any]:
        """Return it as JSON data, for the memory and the reports."""
        return {
            POLICY: {"sessions": self.sessions, "about": self.about, "found": self.found},
        }


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is known of running the tests in ``sessions`` sessions.

    Attributes:
        sessions: at most so many.
        about: the name under which it is remembered.
        insists: the user named the number, so that it doesn't matter whether it pays.
        key: digest of what decides it.
        known: what was found before; {} for nothing that holds.
        seconds: test -> how long it took in the last run.
    """

    sessions: int
    about: str
    insists: bool
    key: str
    known: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def finding(
        self,
        state: str,
        why: str,
        baseline: object = None,
        shards: Iterable[Iterable[str]] = (),
    ) -> dict[str, Any]:
        """Return what is to be remembered, JSON data; the shards are those that were compared."""
        found = {"schema": 1, "key": self.key, "state": state, "why": why, "baseline": baseline}
        at = datetime.now(UTC).isoformat()
        return found | {"shards": [list(part) for part in shards], "at": at}


async def run_decided(examination: Examination, order: TestOrder | None) -> TestRun:
    """Run the tests in as many sessions as is known to be right; learn whether more would be."""
    choice = _choice(examination, order)
    if choice is None:
        notes = _why_one(examination, order)
        return TestRun(await run_tests(examination, "pytest.jsonl", order=order), notes=notes)
    state = choice.known.get("state")
    if state == "fits" or (state == "slower" and choice.insists):
        return await _known_to_fit(examination, choice)
    session = await run_tests(examination, "pytest.jsonl")
    run = TestRun(session, about=choice.about)
    if state in {"minds", "slower", "late"}:
        notes = (f"tests ran in one session: {choice.known['why']}",) if choice.insists else ()
        return replace(run, notes=notes)
    seconds = {test.id: test.seconds for test in session.recording.tests.values()}
    choice = replace(choice, seconds=seconds)
    if why := _why_no_trial(examination, choice, session):
        notes = (f"tests ran in one session: {why}",) if choice.insists else ()
        return replace(run, notes=notes)
    if state != "seen" and not choice.insists:
        # Tests that change from run to run would never pay the trial back.
        return replace(run, found=choice.finding("seen", "not compared yet"))
    return await _trial(examination, choice, run)


def _choice(examination: Examination, order: TestOrder | None) -> _Choice | None:
    """Return what to decide by; None where the tests run in one session anyhow."""
    wanted, learned = examination.settings.parallel, examination.history.learned.get(POLICY)
    if wanted == "off" or learned is None or (order is not None and order.changes):
        return None
    if not examination.environment.can_measure:
        # Then a trial couldn't compare the lines that ran.
        return None
    insists = wanted != "auto"
    if not insists and _may_meet_outside(examination):
        return None
    sessions = wanted if insists else min(usable_cores(), MOST_SESSIONS)
    if sessions < 2:  # noqa: PLR2004 - side by side
        return None
    key = fingerprint_of(examination)
    # Who runs the tests with several Pythons by turns has found something for each.
    about = f"{sessions} on {examination.environment.version}"
    known = learned["found"].get(about, {})
    holds = known.get("schema") == 1 and known.get("key") == key and not _is_stale(known)
    return _Choice(sessions, about, insists, key, known if holds else {}, learned["seconds"])


def _is_stale(known: Mapping[str, Any]) -> bool:
    if known["state"] not in {"slower", "late"}:
        return False
    return datetime.now(UTC) - datetime.fromisoformat(known["at"]) > _SLOWER_HOLDS


def _why_one(examination: Examination, order: TestOrder | None) -> tuple[str, ...]:
    """Return, to who named a number of sessions, why there is one."""
    wanted = examination.settings.parallel
    if wanted in {"auto", "off", 1}:
        return ()
    if order is not None and order.changes:
        return ("tests ran in one session, since their order is not pytest's own",)
    return ("tests ran in one session, since nothing is to be learned (--no-learn)",)


def _may_meet_outside(examination: Examination) -> bool:
    """Whether the tests say that some of them share what no copy of the project keeps apart.

    That is a server or account that the user lets them through to, or a group of pytest-xdist.
    """
    if any(name in os.environ for name in examination.settings.pass_env):
        return True
    declared = examination.environment.declared.options
    dropped = addopts_of(examination.workspace.source, declared).dropped
    return any("loadgroup" in word for word in dropped)


def _why_no_trial(examination: Examination, choice: _Choice, session: Session) -> str | None:
    """Return why running the tests side by side can't be compared with this session, or won't pay.

    None if there is nothing against it.
    """
    if not session.recording.tests or not _is_whole(session.recording):
        return "not all of them came to their end"
    if examination.seconds(examination.settings.timeout) < session.completed.seconds:
        return "no time is left to compare"
    if len(shards_of(choice.seconds, choice.sessions)) == 1:
        return "all are in one file"
    if not choice.insists and not _may_pay(examination, choice, session):
        return "it would not pay"
    return None


def _may_pay(examination: Examination, choice: _Choice, session: Session) -> bool:
    took = session.completed.seconds
    # Whoever has a limited time has it for what is found out of the project.
    if examination.left(math.inf) < _SHARES_OF_BUDGET * took:
        return False
    if any(plugin.startswith(_ORDERING) for plugin in session.recording.plugins):
        return False
    return is_worth_comparing(took, choice.seconds, choice.sessions)


def is_worth_comparing(took: float, seconds: Mapping[str, float], sessions: int) -> bool:
    """Whether tests are expected to take so much less side by side that a comparison pays.

    Args:
        took: seconds of one session.
        seconds: test -> how long it took in it.
        sessions: how many there would be.

    """
    longest = longest_shard(seconds, shards_of(seconds, sessions))
    fixed = max(took - sum(seconds.values()), 0.0)
    expected = fixed + longest + _OVERHEAD_SECONDS
    return expected < min(_EXPECTED_SHARE * took, took - _EXPECTED_GAIN_SECONDS)


async def _trial(examination: Examination, choice: _Choice, run: TestRun) -> TestRun:
    """Run the tests side by side as well, and remember whether that changes anything."""
    await _report_all(examination)
    beside = _beside(examination.workspace)
    shards = shards_of(choice.seconds, choice.sessions)
    timeout = _most_seconds(run.session.completed.seconds)
    together = await run_parallel(examination, shards, beside, timeout)
    return _judged(examination, choice, run, together, told(shards))


async def _known_to_fit(examination: Examination, choice: _Choice) -> TestRun:
    """Run the tests side by side; once more in one session where anything deviates."""
    shards, baseline = divided(choice.known["shards"]), choice.known["baseline"]
    beside = _beside(examination.workspace)
    timeout = _most_seconds(baseline["seconds"])
    together = await run_parallel(examination, shards, beside, timeout)
    session, otherwise = together.session, together.trouble
    if session is not None and otherwise is None:
        otherwise = _otherwise(replace(examination, workspace=beside), session, baseline)
        left = examination.seconds(examination.settings.timeout)
        if otherwise is None or left < baseline["seconds"]:
            coverage_data.move(beside, examination.workspace)
            notes = [f"tests ran in {len(shards)} sessions side by side, as compared before"]
            if otherwise is not None:
                notes.append(f"{otherwise}; no time was left to run the tests in one session")
            found = _no_longer_quicker(choice, together.seconds)
            return TestRun(session, len(shards), tuple(notes), found, choice.about)
    again = await run_tests(examination, "pytest.jsonl")
    await _report_all(examination)
    notes = (f"tests ran again in one session, which counts: {otherwise}",)
    run = TestRun(again, notes=notes, about=choice.about)
    return _judged(examination, choice, run, together, choice.known["shards"])


async def _report_all(examination: Examination) -> None:
    """Have coverage.py's report made of all data, where children wrote some after the report.

    Costs a start of Python then, which coverage-analyzer saves.
    """
    if not coverage_data.reported(examination.workspace):
        timeout = examination.seconds(MERGE_SECONDS)
        await coverage_data.merge(examination, examination.workspace, (), timeout)


def _most_seconds(one_session: float) -> float:
    return _TIMES_ONE_SESSION * one_session + _LEAST_ALLOWED_SECONDS


def _otherwise(
    examination: Examination, session: Session, baseline: Mapping[str, Any]
) -> str | None:
    """Return what deviates from the last run compared, as a phrase; None if nothing does."""
    if _is_late(session):
        return f"side by side the tests did not end in {session.completed.seconds:.0f} s"
    deviating = deviations(examination, session.recording, baseline)
    return f"{named(deviating)}: not as in the last run compared" if deviating else None


def _is_whole(recording: Recording) -> bool:
    """Whether all tests ran to their end, so that another run can be held against this one."""
    ended = recording.exit is not None and not recording.stopped
    return ended and not recording.outcomes()["interrupted"]


def _is_late(session: Session) -> bool:
    return session.recording.stopped or session.completed.stopped is not None


def _no_longer_quicker(choice: _Choice, seconds: float) -> dict[str, Any] | None:
    """Return what to remember where one session took less when it was compared."""
    baseline = choice.known["baseline"]
    if choice.insists or seconds <= baseline["seconds"]:
        return None
    together_in = f"in {choice.sessions} sessions side by side"
    why = f"{seconds:.1f} s {together_in}, {baseline['seconds']:.1f} s in one before"
    return choice.finding("slower", why, baseline, choice.known["shards"])


def _judged(
    examination: Examination,
    choice: _Choice,
    run: TestRun,
    together: ParallelRun,
    shards: Iterable[Iterable[str]],
) -> TestRun:
    """Compare the run in one session, which counts, with one side by side on the same sources."""
    workspace, recording = examination.workspace, run.session.recording
    if not _is_whole(recording):
        # There is nothing whole to hold the other against, so what was known before stays.
        return run
    together_in = f"in {choice.sessions} sessions side by side"
    state, why, baseline = "minds", together.trouble or "", None
    if together.session is not None and _is_late(together.session):
        state, why = "late", f"{together_in} they took longer than {together.seconds:.0f} s"
    elif together.session is not None and not why:
        why = _difference(examination, run.session, together.session, together_in)
    if why:
        until = "for a week, or until they change" if state == "late" else "until they change"
        notes = (f"tests stay in one session {until}: {why}",)
    else:
        took, took_together = run.session.completed.seconds, together.seconds
        baseline = baseline_of(workspace, recording) | {"seconds": took}
        why = f"{took_together:.1f} s {together_in}, {took:.1f} s in one"
        pays = choice.insists or took_together < _MEASURED_SHARE * took
        state = "fits" if pays else "slower"
        ahead = "later runs do so" if pays else "for a week they stay in one session"
        notes = (f"tests ran {together_in} with the same outcomes and coverage; {ahead}: {why}",)
    found = choice.finding(state, why, baseline, shards)
    return replace(run, notes=(*run.notes, *notes), found=found)


def _difference(
    examination: Examination, session: Session, together: Session, together_in: str
) -> str:
    """Return in what the two differ, as a phrase; "" if in nothing."""
    workspace = examination.workspace
    if tests := differing_tests(examination, session.recording, together.recording):
        return f"{named(tests)} ended otherwise {together_in}"
    if not coverage_data.reported(workspace):
        return "coverage.py made no report of the run in one"
    if files := differing_files(workspace, _beside(workspace)):
        return f"other lines or branches of {named(files)} ran {together_in}"
    return ""


def _beside(workspace: Workspace) -> Workspace:
    """Return the workspace with another place for what sessions side by side measure."""
    beside = replace(workspace, artifacts=workspace.root / "side_by_side", scratch=None)
    beside.artifacts.mkdir(exist_ok=True)
    return beside
