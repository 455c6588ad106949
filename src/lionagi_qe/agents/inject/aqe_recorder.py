"""A pytest plugin that writes what happens, when it happens, as one JSON object a line.

Each line is written before the test goes on, so a crash loses nothing that was said before it.
Phases of a test that pass are told together, with what comes next: most tests cost two lines.
Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it is imported before pytest is.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
import traceback
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

LONGEST_TEXT = 8000
# As they are before the project's tests replace them, in a fixture of a session, say.
_written, _now = json.JSONEncoder().encode, time.monotonic

# What the fleet sends to end a test that runs too long: the first one raises an error in it, the
# second one has the interpreter write all stacks without the help of any Python code.
_END_TEST = getattr(signal, "SIGRTMIN", 0) + 11 if hasattr(signal, "SIGRTMIN") else None
_SHOW_STACKS = None if _END_TEST is None else _END_TEST + 1
# The third one ends the session in good order, so that what was measured is kept.
_END_SESSION = None if _END_TEST is None else _END_TEST + 2

# Beside this file, under the name that it is imported by in the examined project.
_traces: Any = import_module("aqe_traces")
_known_as: Callable[[str], str] = import_module("aqe_names").known_as
_record: IO[bytes] | None = None
_stacks: IO[str] | None = None
_running: list[str] = []
# Of the test that runs: name and seconds of phases that passed and were not told yet.
_passed: list[tuple[str, float]] = []
_session: list[pytest.Session] = []
_CONTEXTS = "AQE_CONTEXTS" in os.environ


def open_record(path: str) -> None:
    """Write events to ``path`` from now on; without this call the plugin is silent."""
    global _record  # noqa: PLW0603 - pytest imports the plugin by name, so the module is the state
    _record = os.fdopen(_opened(path), "wb", buffering=0)


def _opened(path: str) -> int:
    """Open a file to write behind what it holds.

    Not in append mode, which few programs use: tests that look at the files of their own process
    would take another way through the code for it.
    """
    number = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    os.lseek(number, 0, os.SEEK_END)
    return number


def _listen(path: str) -> None:
    """Let the fleet end a test: see ``execution/follower.py``."""
    global _stacks  # noqa: PLW0603 - as above
    if _END_TEST is None or _SHOW_STACKS is None or _END_SESSION is None or _stacks is not None:
        return
    _stacks = os.fdopen(_opened(path), "w", encoding="utf-8")
    try:
        signal.signal(_END_TEST, _end_test)
        signal.signal(_END_SESSION, _end_session)
    except ValueError:
        # Not in the main thread: then only the whole process can be ended.
        return
    faulthandler.register(_SHOW_STACKS, file=_stacks, all_threads=True)
    _say("listening", pid=os.getpid())


def _end_session(number: int, frame: object) -> None:
    """Let no further test begin, and end the one that runs."""
    _say("stopped")
    if _session:
        _session[0].shouldstop = "the time is up"
    _end_test(number, frame)


def _end_test(number: int, frame: object) -> None:
    """Raise an error in the test that runs, whose stack tells where it stood."""
    del number, frame
    if not _running:
        return
    from _pytest.outcomes import Failed

    stacks = [
        "".join(traceback.format_stack(each)[-12:])
        # There is no other way to them.
        for each in sys._current_frames().values()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    ]
    _say("overdue", id=_running[-1], text="\n".join(stacks)[-LONGEST_TEXT:])
    raise Failed("it ran longer than a test may")


def _say(event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON data
    if _record is not None:
        _record.write(_written(dict(fields, event=event)).encode() + b"\n")


def _say_shared(seconds: float) -> None:
    _say("shared", seconds=seconds)


def _say_passed() -> None:
    if _passed:
        _say("passed", id=_running[-1], phases=_passed)
        del _passed[:]


def _measure_as(test: str) -> None:
    """Have coverage.py tell from now on that it was this test that ran a line."""
    if _CONTEXTS:
        from coverage import Coverage

        running = Coverage.current()
        if running is not None:
            running.switch_context(test)


def _text_of(report: pytest.CollectReport | pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return report.longreprtext[-LONGEST_TEXT:]


def _subtest_of(report: pytest.TestReport) -> str | None:
    """Return how a subtest calls itself (pytest 9's own or pytest-subtests), None for a test."""
    context: Any = getattr(report, "context", None)
    if context is None or type(report).__name__.lower() != "subtestreport":
        return None
    parts = [] if context.msg is None else [f"[{context.msg}]"]
    if context.kwargs:
        parts.append("({})".format(", ".join(f"{k}={v}" for k, v in context.kwargs.items())))
    return " ".join(parts) or "(<subtest>)"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tell pytest's version and its plugins."""
    from pytest import __version__  # noqa: PT013 - the name is for annotations elsewhere

    found = session.config.pluginmanager.list_plugin_distinfo()
    plugins = sorted({f"{dist.project_name}-{dist.version}" for _, dist in found})
    _say("session", pytest=__version__, plugins=plugins)
    _session[:] = [session]
    _traces.within(os.getcwd())  # noqa: PTH109 - as cheap as it gets
    if _record is not None:
        # Not before: it imports pytest.
        shared = import_module("aqe_shared_fixtures").SharedFixtures(_say_shared)
        session.config.pluginmanager.register(shared)
        session.config.pluginmanager.register(import_module("aqe_collection"))
        if "AQE_STACKS" in os.environ:
            _listen(os.environ["AQE_STACKS"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what has run before, where another session goes on with the rest."""
    path = os.environ.get("AQE_ONLY")
    if path:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            wanted = set(json.load(file))
        items[:] = [item for item in items if _known_as(item.nodeid) in wanted]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell which tests will run."""
    _say("collected", ids=[_known_as(item.nodeid) for item in session.items], at=_now())


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Tell how many tests the project's options leave out."""
    _say("deselected", count=len(items))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Tell which file is imported: what it does there may end the process."""
    if collector.nodeid.endswith(".py"):
        _say("collecting", id=collector.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Tell which files could not be collected, or skip themselves."""
    if report.nodeid.endswith(".py"):
        _say("collecting", id="")
    if report.failed:
        _say("uncollectable", id=report.nodeid, text=_text_of(report))
    elif report.skipped:
        _say("module_skipped", id=report.nodeid, text=_text_of(report))


def pytest_exception_interact(
    call: pytest.CallInfo[Any], report: pytest.CollectReport | pytest.TestReport
) -> None:
    """Tell what made a test or a file fail, and which module could not be imported."""
    error = call.excinfo.value if call.excinfo is not None else None
    # pytest wraps what a test file raises on import.
    if error is not None and getattr(report, "when", None) == "collect":
        error = error.__cause__ or error
    if error is not None and _record is not None:
        _say_passed()
        try:
            _say("failure", id=_known_as(report.nodeid), errors=_traces.errors_of(error))
        except Exception as defect:  # noqa: BLE001 - an error of the project's may do anything
            # Then the failure goes by its text; the project's session is not to end for it.
            _say("untold", id=_known_as(report.nodeid), text=type(defect).__name__)
    raised = _raised_by_example(error)
    if isinstance(raised, ModuleNotFoundError) and raised.name:
        _say("missing", id=_known_as(report.nodeid), module=raised.name)


def _raised_by_example(error: BaseException | None) -> BaseException | None:
    """Return what an example in a docstring raised, which doctest wraps; else the error itself."""
    doctest = sys.modules.get("doctest")
    if doctest is None or not isinstance(error, doctest.UnexpectedException):
        return error
    wrapper: Any = error
    return wrapper.exc_info[1]


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tell that a test begins."""
    name = _known_as(nodeid)
    _measure_as(name)
    _running.append(name)
    _say("start", id=name)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell how a phase of a test, or a subtest, ended."""
    subtest, xfail = _subtest_of(report), hasattr(report, "wasxfail")
    if (
        report.outcome == "passed"
        and subtest is None
        and not xfail
        and _running[-1:] == [_known_as(report.nodeid)]
    ):
        _passed.append((report.when, report.duration))
        return
    _say_passed()
    _say(
        "report",
        id=_known_as(report.nodeid),
        when=report.when,
        outcome=report.outcome,
        seconds=report.duration,
        xfail=xfail,
        subtest=subtest,
        text="" if report.passed else _text_of(report),
    )


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Tell that a test has ended."""
    _measure_as("")
    _say("finish", id=_known_as(nodeid), passed=_passed)
    _running.clear()
    del _passed[:]


def pytest_internalerror(excrepr: object) -> None:
    """Tell that pytest itself failed."""
    _say("internal_error", text=str(excrepr)[-LONGEST_TEXT:])


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Tell what ended the session before all tests had run: ``pytest.exit``, or an interrupt.

    The latter is a test's own: the fleet ends sessions otherwise.
    """
    from pytest import exit as exits  # noqa: PT013 - pytest is not imported before this module

    _say_passed()
    by_exit = isinstance(excinfo.value, exits.Exception)
    text = str(excinfo.value) if by_exit else str(excinfo.getrepr(style="short"))
    _say("interrupt", exits=by_exit, text=text[-LONGEST_TEXT:])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell that the session came to its end, and for which reason before its last test."""
    _say_passed()
    why = session.shouldfail or session.shouldstop
    why = why[-LONGEST_TEXT:] if isinstance(why, str) else None
    _say("end", exit=int(exitstatus), at=_now(), why=why)


def pytest_unconfigure() -> None:
    """Close the record, before warnings of open files can be errors."""
    close_record()


def close_record() -> None:
    """Write no more; a second time does nothing."""
    global _record, _stacks  # noqa: PLW0603
    if _stacks is not None and _SHOW_STACKS is not None:
        faulthandler.unregister(_SHOW_STACKS)
        _stacks.close()
        _stacks = None
    if _record is not None:
        _record.close()
        _record = None
