"""A pytest plugin that writes how pytest itself counted each test, at the end of the session.

Knows nothing of the fleet: what it writes is what the fleet's figures are held against. Written to
``$CORPUS_OUTCOMES``: {"pytest", "collected": ids, "tests": id -> categories, "uncollectable": ids}.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_CATEGORIES = {"passed", "failed", "error", "skipped", "xfailed", "xpassed"}
# Read before a test clears the environment.
_TARGET = Path(os.environ["CORPUS_OUTCOMES"])
_collected: list[str] = []


def pytest_collection_finish(session: Any) -> None:
    _collected[:] = [item.nodeid for item in session.items]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    from pytest import CollectReport, __version__  # noqa: PT013 - it is imported before pytest is

    tests: dict[str, list[str]] = {}
    uncollectable: list[str] = []
    for category, reports in terminalreporter.stats.items():
        for report in reports:
            if isinstance(report, CollectReport):
                if report.outcome == "failed":
                    uncollectable.append(report.nodeid)
                continue
            found = "subtest" if "subtest" in type(report).__name__.lower() else category
            if found == "subtest":
                if report.failed:
                    tests.setdefault(report.nodeid, []).append("failed")
            elif found in _CATEGORIES:
                tests.setdefault(report.nodeid, []).append(found)
    told = {"pytest": __version__, "collected": _collected}
    told |= {"tests": tests, "uncollectable": uncollectable}
    _TARGET.write_text(json.dumps(told), encoding="utf-8")
