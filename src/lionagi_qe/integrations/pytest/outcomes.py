"""How the tests of a session ended, from pytest's reports of their phases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.phases import BAD, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


@dataclass(slots=True)
class Test:
    """One test.

    Attributes:
        outcome: as ``aqe run`` calls it; of a quarantined test what it would be without that.
        seconds: of setup, call and teardown together.
        place: how many tests had begun to report before it.
        worker: of pytest-xdist, that ran it.
        repeated: the outcome of each time that it ran, where we repeated it.
        retried: of each time that it ran before the last, where another plugin repeated it.
        message: of its failure, if it is quarantined.
    """

    __test__ = False

    outcome: str = "not_run"
    seconds: float = 0.0
    place: int = 0
    worker: str | None = None
    repeated: list[str] = field(default_factory=list[str])
    retried: list[str] = field(default_factory=list[str])
    message: str = ""

    @property
    def attempts(self) -> list[str]:
        """The outcome of each time that it ran; empty for once."""
        return self.repeated or ([*self.retried, self.outcome] if self.retried else [])

    @property
    def is_flaky(self) -> bool:
        """Whether it both failed and did not, in this session."""
        bad = {attempt in BAD for attempt in self.attempts}
        return len(bad) > 1


class Outcomes:
    """The tests of a session, in the order in which they began to report."""

    def __init__(self) -> None:
        self.tests: dict[str, Test] = {}

    def add(self, report: pytest.TestReport) -> None:
        """Take the report of a phase."""
        test = self.tests.get(report.nodeid)
        if test is None:
            worker = getattr(report, "worker_id", None)
            test = self.tests[report.nodeid] = Test(place=len(self.tests), worker=worker)
        quarantined = getattr(report, "aqe_quarantined", None)
        if quarantined is not None:
            test.message = getattr(report, "wasxfail", "")
        if _is_of_subtest(report):
            if report.failed or quarantined is not None:
                test.outcome = "failed"
            return
        if report.when == "setup":
            # Again, where pytest-rerunfailures repeats a test: its last attempt counts.
            test.outcome, test.seconds = "not_run", 0.0
        test.seconds += report.duration
        if (attempts := getattr(report, "aqe_attempts", None)) is not None:
            test.repeated = attempts
        # Plugins have words of their own.
        told: Any = report
        if told.outcome == "rerun":
            test.retried.append("failed" if told.when == "call" else "error")
            return
        outcome = quarantined or _outcome_of(told)
        if outcome is not None and test.outcome not in BAD:
            test.outcome = outcome

    def ended(self) -> dict[str, Test]:
        """Return the tests that came to an end."""
        return {name: test for name, test in self.tests.items() if test.outcome != "not_run"}


def outcome_in(reports: Iterable[pytest.TestReport]) -> str:
    """Return the outcome of a test from the reports of one attempt."""
    outcomes = Outcomes()
    name = ""
    for report in reports:
        name = report.nodeid
        outcomes.add(report)
    return outcomes.tests[name].outcome if name else "not_run"


def _outcome_of(report: Any) -> str | None:  # noqa: ANN401 - as plugins make it
    if report.when == "???":
        # How pytest-xdist tells that a test took its worker along.
        return "interrupted"
    return outcome_of(report.when, report.outcome, xfail=hasattr(report, "wasxfail"))


def _is_of_subtest(report: Any) -> bool:  # noqa: ANN401 - plugins add to reports
    return getattr(report, "context", None) is not None
