"""What happens where tests are collected and run: in pytest itself, or in xdist's workers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.agents.project.function_digests import (
    digest_of,
    function_digests,
    function_of,
)
from lionagi_qe.integrations.pytest.repetition import repeated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from lionagi_qe.integrations.pytest.plan import Plan

_LONGEST_MESSAGE = 300


class Execution:
    """Orders, leaves out, repeats and excuses tests as the plan says.

    Attributes:
        came: the tests as they came, before they were sorted.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._again: frozenset[str] = frozenset()
        self.came: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Take what is left when all other plugins have chosen and sorted."""
        plan = self._plan
        if plan.left_out:
            left_out = [item for item in items if item.nodeid in plan.left_out]
            if left_out:
                config.hook.pytest_deselected(items=left_out)
                items[:] = [item for item in items if item.nodeid not in plan.left_out]
        if plan.known:
            self._again = frozenset(_new_and_changed(items, plan.known, plan.sources))
        self.came = [item.nodeid for item in items]
        places = plan.places
        if places is not None:
            items.sort(key=lambda item: places.get(item.nodeid, plan.new))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a new or changed test again and again, and report it once."""
        if item.nodeid not in self._again:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in repeated(item, nextitem, self._plan.runs):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    # Around all other plugins: also what a strict xfail makes of a pass is excused.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Report the failure of a quarantined test as an expected one."""
        report = yield
        if report.failed and item.nodeid in self._plan.quarantined:
            told: Any = report
            told.aqe_quarantined = "failed" if report.when == "call" else "error"
            told.wasxfail = f"quarantined: {_message(report)}"
            report.outcome = "skipped"
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell xdist's controller how the tests came."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None and self._plan.places is not None:
            output["aqe"] = json.dumps(self.came)


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr if crash is None else crash.message)
    line = next(filter(None, text.splitlines()), "")
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _new_and_changed(
    items: Iterable[pytest.Item], known: frozenset[str], sources: dict[str, Any]
) -> Iterable[str]:
    """Yield the tests without a history, and those whose function reads otherwise than then."""
    digests: dict[str, dict[str, str]] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        before = sources.get(file)
        if item.nodeid not in known:
            yield item.nodeid
        elif before is not None:
            if file not in digests:
                digests[file] = _changed_functions(item.path, before)
            if function_of(item.nodeid) in digests[file]:
                yield item.nodeid


def _changed_functions(path: Path, before: dict[str, Any]) -> dict[str, str]:
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
    except OSError:
        # Tests that are in no file.
        return {}
    if digest_of(text) == before["digest"]:
        return {}
    functions: dict[str, str] = before["functions"]
    return {
        name: digest
        for name, digest in function_digests(text).items()
        if name in functions and functions[name] != digest
    }
