"""A pytest plugin for which a file that ends the process on import is one that can't be collected.

pytest ends as a whole there: a script without a guard (``sys.exit(main())``) among the tests keeps
all others from being run.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# Of the project, as the session begins: an import may leave it, or delete where it went.
_HERE = os.getcwd() + os.sep  # noqa: PTH109 - as cheap as it gets


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    """Report an error of the file where its import raises ``SystemExit`` or interrupts."""
    outcome = yield
    ends = (SystemExit, KeyboardInterrupt)
    if outcome.excinfo is None or not issubclass(outcome.excinfo[0], ends):
        return
    error = outcome.excinfo[1]
    frame = outcome.excinfo[2]
    while frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{_below_here(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}"
    said = traceback.format_exception_only(outcome.excinfo[0], error)[-1]
    text = f"E   {said}its import ends the process, at {place}"
    outcome.force_result(pytest.CollectReport(collector.nodeid, "failed", text, []))


def _below_here(path: str) -> str:
    # str.removeprefix came with Python 3.9.
    return path[len(_HERE) :] if path.startswith(_HERE) else path  # noqa: FURB188
