"""A pytest plugin that sets what tests must not depend on: their order, their seeds, the clock.

The variable AQE_CONDITIONS holds a JSON object:
``order``: "file", "reversed", or an integer that the order is shuffled by;
``seed``: of the generators of random numbers, set anew before each test;
``vary``: whether each further attempt of a test gets a seed of its own;
``attempts``: how often each test runs, one attempt after the other, in this process;
``clock``: the time at which the session seems to begin, in seconds since 1970, or null;
``only``: null, or an object: ``test`` is the one to run, ``alone`` or after those before it.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it is imported before pytest is.
"""

from __future__ import annotations

import json
import os
import random
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

CONDITIONS: dict[str, Any] = json.loads(os.environ["AQE_CONDITIONS"])
_known_as: Callable[[str], str] = import_module("aqe_names").known_as
# numpy takes 32 bits.
_SEEDS = 2**32


def _seed(attempt: int) -> None:
    seed = CONDITIONS["seed"] + (attempt if CONDITIONS["vary"] else 0)
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed % _SEEDS)


def pytest_configure(config: pytest.Config) -> None:
    """Set the clock before anything of the project is imported."""
    if CONDITIONS["clock"] is not None:
        # Only here, and only in the target's interpreter.
        travel = import_module("time_machine").travel(CONDITIONS["clock"], tick=True)
        travel.start()
        config.add_cleanup(travel.stop)
    _seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order; a file's tests stay together, since they share its fixtures."""
    order = CONDITIONS["order"]
    if order == "reversed":
        items.reverse()
    elif order != "file":
        shuffled = random.Random(order)  # noqa: S311 - an order to repeat, no secret
        files: dict[str, list[pytest.Item]] = {}
        for item in items:
            files.setdefault(item.nodeid.split("::")[0], []).append(item)
        names = sorted(files)
        shuffled.shuffle(names)
        for name in names:
            shuffled.shuffle(files[name])
        items[:] = [item for name in names for item in files[name]]
    if CONDITIONS["only"] is not None:
        _leave_out_all_but(items, **CONDITIONS["only"])


def _leave_out_all_but(items: list[pytest.Item], test: str, *, alone: bool) -> None:
    last = next((at for at, item in enumerate(items) if _known_as(item.nodeid) == test), -1)
    del items[last + 1 :]
    if alone:
        del items[:-1]


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test as often as asked; each attempt is set up and torn down by itself."""
    from _pytest.runner import runtestprotocol

    for attempt in range(CONDITIONS["attempts"]):
        last = attempt == CONDITIONS["attempts"] - 1
        # What comes next decides how much is torn down: of the test itself, everything.
        after: Any = nextitem if last else item.parent
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        _seed(attempt)
        runtestprotocol(item, nextitem=after)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if item.session.shouldstop or item.session.shouldfail:
            break
    return True
