"""Runs one test again under the conditions in which it failed."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.execution.pytest_session import (
    last_words,
    missing_packages,
    why_not_measured,
)
from lionagi_qe.agents.flaky.reruns import Conditions
from lionagi_qe.agents.flaky.session import add_clock, run_under
from lionagi_qe.agents.metric import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.pytest_session import Session

_NO_CLOCK = "the clock can't be set here"


class TestRepeater(Agent):
    """Runs a test in the way that was found to make it fail.

    In another order, the tests that go before it run too; else it runs alone.

    Args:
        test: its node id.
        conditions: in which it runs.
        times: how many sessions, with following seeds where the seed is what is set.
    """

    name: ClassVar[str] = "test-repeater"
    elastic: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {"repeated_runs": "runs", "repeated_failures": "runs"}

    def __init__(self, test: str, conditions: Conditions, times: int = 1) -> None:
        self._test = test
        self._conditions = conditions
        self._times = times

    async def examine(self, examination: Examination) -> Findings:
        """Run it; details: the ``outcomes``, and the ``message`` of the first failure."""
        commit = examination.workspace.commit
        if self._conditions.clock is not None:
            found = await add_clock(examination, self.name)
            if isinstance(found, str):
                return self.unmeasured(
                    Source("pytest", None, None, commit), f"{_NO_CLOCK}: {found}"
                )
            examination = found
        until = time.monotonic() + examination.left(examination.settings.timeout)
        outcomes: list[str] = []
        message, session = "", None
        for number in range(self._times):
            if session is not None and time.monotonic() >= until:
                break
            session = await self._once(examination, number)
            recorded = session.recording.tests.get(self._test)
            if recorded is None or recorded.outcome == "not_run":
                source = Source("pytest", session.recording.pytest, session.command, commit)
                return self.unmeasured(source, self._why_not(examination, session))
            outcomes.append(recorded.outcome)
            if recorded.outcome in BAD and not message:
                message = examination.workspace.shown(recorded.message)
            told = ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes).items())
            examination.progress(Step(self.name, told))
        version = None if session is None else session.recording.pytest
        source = Source("pytest", version, None if session is None else session.command, commit)
        bad = sum(outcome in BAD for outcome in outcomes)
        return Findings(
            self.name,
            (
                source.measured("repeated_runs", len(outcomes), "runs"),
                source.measured("repeated_failures", bad, "runs"),
            ),
            details={"test": self._test, "outcomes": outcomes, "message": message},
        )

    async def _once(self, examination: Examination, number: int) -> Session:
        conditions = self._conditions
        with examination.workspace.fork(f"repeat-{number}") as fork:
            if conditions.kind == "again":
                # What it minds is what a session before it left.
                await run_under(examination, fork, Conditions("same"), examination.settings.timeout)
            return await run_under(
                examination,
                fork,
                conditions.following(number),
                examination.settings.timeout,
                test=self._test,
            )

    def _why_not(self, examination: Examination, session: Session) -> str:
        recording = session.recording
        missing = missing_packages(examination, recording)
        file = self._test.partition("::")[0]
        if file in recording.uncollectable:
            return f"{file} can't be collected: {recording.uncollectable[file].strip()}"
        if missing or recording.exit is None:
            return (
                why_not_measured(session, missing) or f"it was not reached: {last_words(session)}"
            )
        return f"there is no test {self._test}; name it as the report does"
