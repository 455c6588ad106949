"""One test again and again, reported as one: by its first failure, if there was any."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from lionagi_qe.agents.execution.phases import BAD
from lionagi_qe.integrations.pytest.outcomes import outcome_in

# A slow test is not run as often: all of its runs together begin within this time.
MOST_SECONDS = 60.0
# Of the time limit that pytest-timeout sets for a test, which counts its runs together.
_SHARE_OF_TIMEOUT = 0.5


def repeated(item: pytest.Item, nextitem: pytest.Item | None, runs: int) -> list[pytest.TestReport]:
    """Run a test several times, each with fixtures of its own that are no wider than a test.

    Stops when the session is to stop, when the time for a test is up, and after a first run that
    was skipped or expected to fail.

    Returns:
        The reports of its first run that failed, else of the last one. The last report has all
        outcomes as ``aqe_attempts``, and as properties for JUnit.

    """
    began = time.monotonic()
    limit = min(MOST_SECONDS, _SHARE_OF_TIMEOUT * _timeout_of(item))
    properties = len(item.user_properties)
    attempts: list[str] = []
    chosen: list[pytest.TestReport] = []
    # The first run says what the test is; only then is it known whether another one comes.
    while True:
        # What runs before wrote belongs to their reports alone.
        del item.user_properties[properties:]
        del item._report_sections[:]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        # Torn down up to what is around the test: nothing of others, and all of its own.
        beyond: Any = item.parent
        reports = runtestprotocol(item, log=False, nextitem=beyond)
        outcome = outcome_in(reports)
        if outcome in BAD and not BAD.intersection(attempts):
            chosen = reports
        attempts.append(outcome)
        over = len(attempts) == runs or time.monotonic() - began >= limit
        stops = item.session.shouldstop or item.session.shouldfail
        if over or stops or attempts[0] in {"skipped", "xfailed", "xpassed"}:
            break
    told = chosen or reports
    _tear_down_around(item, nextitem, told)
    return _with_attempts(item, told, attempts)


def _tear_down_around(
    item: pytest.Item, nextitem: pytest.Item | None, reports: list[pytest.TestReport]
) -> None:
    """Tear down what the next test does not share; a failure of that is one of the test's."""
    state = item.session._setupstate  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    call = pytest.CallInfo.from_call(
        lambda: state.teardown_exact(nextitem),
        when="teardown",
        reraise=(pytest.exit.Exception, KeyboardInterrupt),
    )
    if call.excinfo is not None and reports[-1].passed:
        reports[-1] = item.ihook.pytest_runtest_makereport(item=item, call=call)


def _with_attempts(
    item: pytest.Item, reports: list[pytest.TestReport], attempts: list[str]
) -> list[pytest.TestReport]:
    if len(attempts) == 1:
        return reports
    failures = sum(attempt in BAD for attempt in attempts)
    last: Any = reports[-1]
    last.aqe_attempts = attempts
    if item.config.getini("junit_family") != "xunit2":
        # There a test has no properties.
        last.user_properties.append(("aqe_runs", len(attempts)))
        last.user_properties.append(("aqe_failures", failures))
    for report in reports:
        if report.outcome != "passed" and failures:
            kind = "it is flaky" if failures < len(attempts) else "it failed each time"
            text = f"failed {failures} of {len(attempts)} runs: {kind}"
            report.sections.append(("aqe", text))
    return reports


def _timeout_of(item: pytest.Item) -> float:
    """Return the seconds that pytest-timeout gives the test; infinite without one."""
    marker = item.get_closest_marker("timeout")
    values: list[Any] = [] if marker is None else [*marker.args, marker.kwargs.get("timeout")]
    values.append(item.config.getoption("timeout", None))
    with suppress(KeyError, ValueError):
        values.append(item.config.getini("timeout"))
    for value in values:
        with suppress(TypeError, ValueError):
            return float(value) or float("inf")
    return float("inf")
