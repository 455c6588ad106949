"""A pytest plugin that writes what happens, when it happens, as one JSON object a line.

Each line is flushed before the test goes on, so a crash loses nothing that was said before it.
Runs on every Python that pytest runs on, so it uses old syntax and the standard library only, and
imports nothing of the fleet. PYTEST_DONT_REWRITE: it is imported before pytest is, and asserts nothing.
"""

import json

LONGEST_TEXT = 8000

_record = None


def open_record(path):  # noqa: ANN001, ANN201 - old interpreters
    """Write events to ``path`` from now on; without this call the plugin is silent."""
    global _record  # noqa: PLW0603 - pytest imports the plugin by name, so the module is the state
    _record = open(path, "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115


def _say(event, **fields):  # noqa: ANN001, ANN003, ANN202
    if _record is not None:
        _record.write(json.dumps(dict(fields, event=event)) + "\n")


def _text_of(report):  # noqa: ANN001, ANN202
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return report.longreprtext[-LONGEST_TEXT:]


def _subtest_of(report):  # noqa: ANN001, ANN202
    """Return how a subtest calls itself (pytest 9's own or pytest-subtests), None for a test."""
    context = getattr(report, "context", None)
    if context is None or type(report).__name__.lower() != "subtestreport":
        return None
    parts = [] if context.msg is None else ["[%s]" % context.msg]  # noqa: UP031
    if context.kwargs:
        parts.append("(%s)" % ", ".join("%s=%s" % pair for pair in context.kwargs.items()))  # noqa: UP031
    return " ".join(parts) or "(<subtest>)"


def pytest_sessionstart(session):  # noqa: ANN001, ANN201, D103 - hooks are pytest's to explain
    import pytest

    names = sorted(
        "%s-%s" % (dist.project_name, dist.version)  # noqa: UP031
        for _, dist in session.config.pluginmanager.list_plugin_distinfo()
    )
    _say("session", pytest=pytest.__version__, plugins=names)


def pytest_collection_finish(session):  # noqa: ANN001, ANN201, D103
    _say("collected", ids=[item.nodeid for item in session.items])


def pytest_deselected(items):  # noqa: ANN001, ANN201, D103
    _say("deselected", count=len(items))


def pytest_collectreport(report):  # noqa: ANN001, ANN201, D103
    if report.failed:
        _say("uncollectable", id=report.nodeid, text=_text_of(report))
    elif report.skipped:
        _say("module_skipped", id=report.nodeid, text=_text_of(report))


def pytest_exception_interact(node, call, report):  # noqa: ANN001, ANN201, D103
    error = call.excinfo.value
    # pytest wraps what a test file raises on import.
    cause = error.__cause__ if getattr(report, "when", None) == "collect" else error
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        _say("missing", id=report.nodeid or node.nodeid, module=cause.name)


def pytest_runtest_logstart(nodeid):  # noqa: ANN001, ANN201, D103
    _say("start", id=nodeid)


def pytest_runtest_logreport(report):  # noqa: ANN001, ANN201, D103
    _say(
        "report",
        id=report.nodeid,
        when=report.when,
        outcome=report.outcome,
        seconds=report.duration,
        xfail=hasattr(report, "wasxfail"),
        subtest=_subtest_of(report),
        text="" if report.passed else _text_of(report),
    )


def pytest_runtest_logfinish(nodeid):  # noqa: ANN001, ANN201, D103
    _say("finish", id=nodeid)


def pytest_internalerror(excrepr):  # noqa: ANN001, ANN201, D103
    _say("internal_error", text=str(excrepr)[-LONGEST_TEXT:])


def pytest_sessionfinish(exitstatus):  # noqa: ANN001, ANN201, D103
    _say("end", exit=int(exitstatus))


def pytest_unconfigure():  # noqa: ANN201, D103
    global _record  # noqa: PLW0603
    if _record is not None:
        _record.close()
        _record = None
