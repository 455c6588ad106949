"""Runs the tests again and again, changes one thing at a time, and names those that mind."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.base import DivisibleAgent, Findings, Step
from lionagi_qe.agents.execution.pytest_session import missing_packages, why_not_measured
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.flaky.clock_samples import moments
from lionagi_qe.agents.flaky.rerun_budget import POLICY, RerunChoice
from lionagi_qe.agents.flaky.reruns import Conditions, Trials, Verdict, add_packed, packed
from lionagi_qe.agents.flaky.session import add_clock, run_under
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.located_tests import line_of
from lionagi_qe.agents.proportion import wilson
from lionagi_qe.learning.choices import Made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.project.workspace import Workspace

_DEFAULT_SECONDS = 60.0
_REPETITIONS = 4
_MOST_ATTEMPTS = 20
# A session of many attempts should take about this long, so that it stays one of many.
_ATTEMPT_SECONDS = 3.0
_MANY_TIMES = 10
_SLACK_SECONDS = 20.0
_SEEDS = 10_000


@dataclass(slots=True)
class _Hunt:
    """A hunt under way.

    Attributes:
        examination: what is hunted in.
        until: by ``time.monotonic``.
        trials: by test.
        sessions: how many ended.
        command: of the first one.
        version: of pytest.
        seconds: of the longest session of each kind.
        ended: kind -> how many sessions came to their end.
        notes: what a reader should know.
    """

    examination: Examination
    until: float
    trials: dict[str, Trials] = field(default_factory=dict[str, Trials])
    sessions: int = 0
    command: str | None = None
    version: str | None = None
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    ended: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def suspects(self) -> set[str]:
        """The tests whose outcome has changed."""
        return {name for name, each in self.trials.items() if each.verdict() is not None}

    def has_time_for(self, conditions: Conditions) -> bool:
        unknown = self.seconds["same"] + (_ATTEMPT_SECONDS if conditions.attempts > 1 else 0.0)
        expected = self.seconds.get(conditions.kind, unknown)
        return time.monotonic() + expected < self.until


class FlakyTestHunter(DivisibleAgent):
    """Names the tests whose outcome depends on chance, order, the clock, or what others left.

    Every session runs on a fresh copy in a fresh process, with fixed seeds, in the order of the
    files; a second one in the same directory, other orders, other clocks and other seeds follow,
    each for itself. What a change brings about is tried again. Tests that fail only when repeated
    within one process are told apart: they are not flaky where each runs once.
    """

    name: ClassVar[str] = "flaky-test-hunter"
    after: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    elastic: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "flaky_tests": "tests",
        "not_idempotent_tests": "tests",
        "flaky_sessions": "sessions",
        "flaky_test_runs": "runs",
        "flaky_rate_limit": "%",
    }

    async def examine_share(self, examination: Examination) -> Findings:
        """Hunt until the time is up, by every ``share.of``-th condition of the plan."""
        left = examination.left(_DEFAULT_SECONDS)
        hunt = _Hunt(examination, time.monotonic() + left)
        has_clock = await _add_clock(hunt)
        first = await self._first(hunt)
        if isinstance(first, str):
            source = Source("pytest", hunt.version, hunt.command, examination.workspace.commit)
            return self.unmeasured(source, first)
        # Another one each time, so that hunts add up; the evidence tells it.
        first_seed = 1 + int(time.time()) % _SEEDS * _SEEDS
        choice = RerunChoice.of(examination.history.learned.get(POLICY), examination.share.part)
        plan = _plan(first_seed, has_clock=has_clock)
        for conditions in _schedule(hunt, plan, choice, first_seed):
            if not hunt.has_time_for(conditions):
                break
            await self._try(hunt, conditions)
        return Findings(
            self.name,
            (),
            details={
                "trials": packed(hunt.trials),
                "sessions": hunt.sessions,
                "command": hunt.command,
                "version": hunt.version,
                "orders": hunt.ended["order"],
                "reruns": None if (made := choice.made()) is None else made.as_details(),
            },
            notes=tuple(hunt.notes),
        )

    def merge(self, examination: Examination, shares: Sequence[Findings]) -> Findings:
        """Judge the tests by the sessions of all shares."""
        hunted = [share for share in shares if share.details]
        if not hunted:
            return shares[0]
        first = hunted[0].details
        hunt = _Hunt(examination, 0.0, command=first["command"], version=first["version"])
        for share in hunted:
            add_packed(hunt.trials, share.details["trials"])
            hunt.sessions += share.details["sessions"]
            hunt.ended["order"] += share.details["orders"]
        hunt.notes += dict.fromkeys(note for share in shares for note in share.notes)
        found = self._findings(hunt)
        reruns = [share.details["reruns"] for share in hunted if share.details["reruns"]]
        if not reruns:
            return found
        made = Made.all_of([Made.of_details(each) for each in reruns])
        return replace(found, details={**found.details, "reruns": made.as_details()})

    async def _first(self, hunt: _Hunt) -> str | None:
        """Run the first two sessions, in one directory; return why there are no tests, if so."""
        fork = hunt.examination.workspace.fork("first")
        with fork:
            session = await self._session(hunt, Conditions("same"), fork)
            hunt.version, hunt.command = session.recording.pytest, session.command
            missing = missing_packages(hunt.examination, session.recording)
            reason = why_not_measured(session, missing)
            if reason is not None:
                return reason
            if session.recording.exit is None:
                return f"the first run of the tests {session.completed.how}"
            again = Conditions("again")
            if hunt.has_time_for(again):
                await self._session(hunt, again, fork)
        return None

    async def _try(self, hunt: _Hunt, conditions: Conditions) -> None:
        with hunt.examination.workspace.fork(f"session-{hunt.sessions}") as fork:
            if conditions.kind == "again":
                await self._session(hunt, Conditions("same"), fork)
            await self._session(hunt, conditions, fork)

    async def _session(self, hunt: _Hunt, conditions: Conditions, fork: Workspace) -> Session:
        examination = hunt.examination
        started = time.monotonic()
        usual = max(hunt.seconds.values(), default=examination.settings.timeout)
        # A test that hangs under some conditions must not take all the time there is.
        limit = _SLACK_SECONDS + _MANY_TIMES * usual
        timeout = examination.seconds(limit)
        session = await run_under(examination, fork, conditions, timeout)
        hunt.sessions += 1
        hunt.ended[conditions.kind] += session.recording.exit is not None
        taken = time.monotonic() - started
        hunt.seconds[conditions.kind] = max(hunt.seconds.get(conditions.kind, 0.0), taken)
        out_of_time = session.completed.stopped is not None and timeout < limit
        for name, test in session.recording.tests.items():
            # Who runs when the hunt's own time is up is not to blame for it.
            cut = out_of_time and test.outcome == "interrupted"
            attempts = test.attempts[:-1] if cut else test.attempts
            hunt.trials.setdefault(name, Trials()).add(conditions, attempts)
        text = f"{hunt.sessions} sessions, {len(hunt.suspects)} suspects; tried: {conditions}"
        examination.progress(Step(self.name, text))
        return session

    def _findings(self, hunt: _Hunt) -> Findings:
        examination = hunt.examination
        verdicts = {
            name: verdict
            for name, trials in sorted(hunt.trials.items())
            if (verdict := trials.verdict()) is not None
        }
        spoilt = sorted(
            name
            for name, trials in hunt.trials.items()
            if trials.is_not_idempotent and name not in verdicts
        )
        source = Source("pytest", hunt.version, hunt.command, examination.workspace.commit)
        found = [_finding(name, verdict, source, examination) for name, verdict in verdicts.items()]
        return Findings(
            self.name,
            tuple(self._measure(hunt, source, verdicts, spoilt)),
            details={
                "flaky": [
                    {"id": name, **verdict.as_details(), "past": _past(name, examination)}
                    for name, verdict in verdicts.items()
                ],
                "not_idempotent": spoilt,
                "runs": _runs(hunt),
                "orders": _orders(hunt, verdicts),
                "findings": [
                    asdict(finding)
                    for finding in fingerprinted(found, examination.workspace.pristine)
                ],
                "tools": [
                    {"tool": source.tool, "version": source.version}
                    | {"command": source.command, "reason": None}
                ],
            },
            notes=tuple(hunt.notes),
        )

    def _measure(
        self, hunt: _Hunt, source: Source, verdicts: Mapping[str, Verdict], spoilt: list[str]
    ) -> Iterator[Metric]:
        runs = _runs(hunt)
        # What is skipped in every session tells nothing of the others; runs with one seed are one
        # draw, as far as anybody can tell of a test that never failed.
        stable = [
            len(draws)
            for name, trials in hunt.trials.items()
            if name not in verdicts and (draws := trials.clusters("randomness"))
        ]
        yield source.measured("flaky_tests", len(verdicts), "tests")
        yield source.measured("not_idempotent_tests", len(spoilt), "tests")
        yield source.measured("flaky_sessions", hunt.sessions, "sessions")
        yield source.measured("flaky_test_runs", sum(run["runs"] for run in runs.values()), "runs")
        if stable:
            limit = round(100 * wilson(0, min(stable))[1], 2)
            yield source.measured("flaky_rate_limit", limit, "%")
        else:
            yield source.unmeasured("flaky_rate_limit", "%", "no stable test ran")


def _past(test: str, examination: Examination) -> dict[str, int]:
    """Return how often earlier hunts saw a test, and named it; {} if none did."""
    hunts = examination.history.flaky.get(test, ())
    if not hunts:
        return {}
    return {
        "hunts": len(hunts),
        "named": sum(hunt["cause"] is not None for hunt in hunts),
        "runs": sum(hunt["runs"] for hunt in hunts),
        "failures": sum(hunt["failures"] for hunt in hunts),
    }


def _orders(hunt: _Hunt, verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    """Return how many sessions had another order, and which tests minded."""
    return {
        "sessions": hunt.ended["order"],
        "minding": [name for name, verdict in verdicts.items() if "order" in verdict.causes],
    }


def _runs(hunt: _Hunt) -> dict[str, dict[str, int]]:
    """Return test -> how often it ran and failed."""
    runs: dict[str, dict[str, int]] = {}
    for name, trials in hunt.trials.items():
        outcomes = Counter(bad for _, attempts in trials.counted() for bad in attempts)
        runs[name] = {"runs": outcomes.total(), "failures": outcomes[True]}
    return runs


async def _add_clock(hunt: _Hunt) -> bool:
    """Add the tool that sets the clock to the environment; return whether it can be had."""
    found = await add_clock(hunt.examination, FlakyTestHunter.name)
    if isinstance(found, str):
        hunt.notes.append(f"tests that depend on the time were not looked for: {found}")
        return False
    hunt.examination = found
    return True


def _schedule(
    hunt: _Hunt, plan: Iterable[Conditions], choice: RerunChoice, first_seed: int
) -> Iterator[Conditions]:
    """Yield conditions, the more telling first; what changed an outcome once comes again."""
    done: set[Conditions] = set()
    share = hunt.examination.share
    planned = deque(islice(plan, share.part, None, share.of))
    number = share.part + 1
    while True:
        repeats = (each for trials in hunt.trials.values() for each in trials.unsettled())
        # Repeated once: if it is cut short it would come again and again.
        repeat = next((each for each in repeats if each not in done), None)
        if repeat is not None:
            done.add(repeat)
            yield repeat
        elif planned:
            conditions = planned.popleft()
            # Only now is it known how many attempts a session has time for.
            yield replace(conditions, attempts=_attempts(hunt)) if conditions.vary else conditions
        else:
            before = hunt.suspects
            yield _further(choice.next(), number, _attempts(hunt), first_seed)
            choice.tell(found=bool(hunt.suspects - before))
            number += share.of


def _plan(seed: int, *, has_clock: bool) -> Iterator[Conditions]:
    yield Conditions("order", order="reversed")
    yield Conditions("same")
    now = datetime.now().astimezone()
    clocks = [
        Conditions("clock", clock=seconds, moment=shown)
        for shown, seconds in (moments(now) if has_clock else ())
    ]
    yield from clocks[:3]
    for _ in range(2):
        yield Conditions("repeated", attempts=_REPETITIONS)
    # As many attempts as fit: what is rare shows by numbers only.
    yield Conditions("seeds", seed=seed, vary=True, attempts=_MOST_ATTEMPTS)
    yield from clocks[3:]


def _further(kind: str, number: int, attempts: int, first_seed: int) -> Conditions:
    """Return the conditions of a session beyond the plan, other ones for each number."""
    if kind == "seeds":
        seed = first_seed + number * _MOST_ATTEMPTS
        return Conditions("seeds", seed=seed, vary=True, attempts=attempts)
    return Conditions("order", order=number) if kind == "order" else Conditions("same")


def _attempts(hunt: _Hunt) -> int:
    usual = hunt.seconds["same"]
    repeated = hunt.seconds.get("repeated", usual)
    # What one more attempt of all tests costs, the start of the session taken off.
    each = max((repeated - usual) / (_REPETITIONS - 1), 0.001)
    return max(1, min(_MOST_ATTEMPTS, int(_ATTEMPT_SECONDS / each)))


def _finding(name: str, verdict: Verdict, source: Source, examination: Examination) -> Finding:
    file = name.split("::", maxsplit=1)[0]
    return Finding(
        source.tool,
        str(source.version),
        f"flaky-{verdict.causes[0]}",
        f"flaky test: {verdict.causes[0]}",
        "warning",
        f"{name} is flaky: {verdict.evidence}; failed {verdict.failures} of {verdict.runs} runs",
        file,
        line_of(examination.workspace.pristine, name),
        fingerprint=name,
    )
