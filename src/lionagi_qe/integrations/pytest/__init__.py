"""The pytest plugin for people's own projects: ``pytest --aqe`` keeps how their tests ended.

pytest loads this module at every start of everyone who has the package installed, so it imports
nothing; what does the work is imported once one of the options is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


# As pytest's configuration names them: all that is asked of the memory, which then keeps the run.
ASKING = (
    *("aqe", "aqe_order", "aqe_select", "aqe_select_time", "aqe_confidence"),
    "aqe_rerun_new",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--aqe`` and what goes with it."""
    group = parser.getgroup("aqe", "aqe: history, order and selection of tests")
    group.addoption(
        "--aqe",
        nargs="?",
        const="",
        metavar="URL",
        help="keep outcomes, durations and order in the project's memory, or in that of --aqe=URL",
    )
    group.addoption(
        "--aqe-order",
        choices=("learned", "default"),
        help="learned: the tests that are the likeliest to fail run first (implies --aqe)",
    )
    group.addoption(
        "--aqe-select",
        metavar="BASE",
        help="run only the tests that what changed since this commit needs (implies --aqe)",
    )
    group.addoption(
        "--aqe-select-time",
        metavar="TIME",
        help="run only the likeliest tests to fail, as many as take so long, for example 60s, and "
        "new ones; what they may miss is told (implies --aqe)",
    )
    group.addoption(
        "--aqe-confidence",
        metavar="P",
        help="run only so many of the likeliest tests to fail that they find a failing run with "
        "this probability, for example 0.95, and new ones (implies --aqe)",
    )
    group.addoption(
        "--aqe-rerun-new",
        type=int,
        metavar="N",
        help="run new and changed tests N times, and tell which are flaky (implies --aqe)",
    )
    group.addoption(
        "--aqe-quarantine",
        metavar="FILE",
        help="failures of the tests that this file lists are told, and don't fail the run; '' for "
        "none; by default the list that [tool.aqe] names, with --aqe",
    )
    parser.addini(
        "aqe_timeout", "most seconds that pytest waits for the memory of --aqe", default="10"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register what the options ask for, in a worker of pytest-xdist what its controller says."""
    told = getattr(config, "workerinput", None)
    if told is not None:
        plan = told.get("aqe")
        if plan is not None:
            from lionagi_qe.integrations.pytest.execution import Execution
            from lionagi_qe.integrations.pytest.plan import Plan

            config.pluginmanager.register(Execution(Plan.of_text(plan)), "aqe-execution")
        return
    if any(config.getoption(name) is not None for name in (*ASKING, "aqe_quarantine")):
        from lionagi_qe.integrations.pytest.controller import Controller
        from lionagi_qe.integrations.pytest.options import Options

        config.pluginmanager.register(Controller(config, Options.of(config)), "aqe-controller")
