"""A pytest plugin that runs the tests in a given order, and tells in which they came.

The variable AQE_ORDER names a JSON file: {"places": {id: place}, "new": place, "came": path}. The
tests are sorted by their places; those that the file does not know have the place "new", and equal
places keep the order in which they came. The ids in that order are written to "came".

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_known_as: Callable[[str], str] = import_module("aqe_names").known_as


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort what is left when all other plugins have chosen and sorted."""
    with open(os.environ["AQE_ORDER"], encoding="utf-8") as file:  # noqa: PTH123
        order: dict[str, Any] = json.load(file)
    with open(order["came"], "w", encoding="utf-8") as came:  # noqa: PTH123
        json.dump([_known_as(item.nodeid) for item in items], came)
    places: dict[str, int] = order["places"]
    new: int = order["new"]
    items.sort(key=lambda item: places.get(_known_as(item.nodeid), new))
