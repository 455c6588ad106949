"""A pytest plugin that runs one shard of the tests, where other sessions run the others.

The variable AQE_SHARD names a JSON file. All tests are collected, so that each session has imported
what any other one has; which they are is written to "collected", {"ids": [id]}.

Beside sessions on the same machine: {"own": [file] or null, "others": [file], "collected": path}.
Tests of "own" run; if that is null, all but those of "others": whatever nobody was given, new tests
as well.

On one machine of a CI matrix: {"part", "of", "by": "file" or "test", "seconds": {id: seconds},
"collected": path}. Each machine works out the same division, see ``aqe_division``, which goes into
"collected" as well: {"ids", "units": [unit of each id], "parts": {unit: shard}, "own": [id]}.

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
    from collections.abc import Callable, Sequence

_NO_TESTS = 5
_known_as: Callable[[str], str] = import_module("aqe_names").known_as


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave out the tests of other shards, when all plugins have chosen and sorted."""
    with open(os.environ["AQE_SHARD"], encoding="utf-8") as file:  # noqa: PTH123
        shard: dict[str, Any] = json.load(file)
    ids = [_known_as(item.nodeid) for item in session.items]
    collected: dict[str, Any] = {"ids": ids}
    if "part" in shard:
        units = _units(session.items, shard["by"])
        parts = _parts(ids, units, shard)
        is_own = [parts[unit] == shard["part"] for unit in units]
        own = [test for test, owned in zip(ids, is_own) if owned]  # noqa: B905 - old syntax
        collected.update(units=units, parts=parts, own=own)
    else:
        is_own = _are_own(ids, shard)
    with open(shard["collected"], "w", encoding="utf-8") as target:  # noqa: PTH123
        json.dump(collected, target)
    items = zip(session.items, is_own)  # noqa: B905 - old syntax
    session.items[:] = [item for item, owned in items if owned]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a shard that was given no tests end well: pytest takes that for a mistake."""
    if session.exitstatus == _NO_TESTS:
        with open(os.environ["AQE_SHARD"], encoding="utf-8") as file:  # noqa: PTH123
            shard: dict[str, Any] = json.load(file)
        with open(shard["collected"], encoding="utf-8") as file:  # noqa: PTH123
            if json.load(file)["ids"]:
                session.exitstatus = 0


def _are_own(ids: Sequence[str], shard: dict[str, Any]) -> list[bool]:
    own = None if shard["own"] is None else set(shard["own"])
    others = set(shard["others"])
    files = [test.partition("::")[0] for test in ids]
    return [file not in others if own is None else file in own for file in files]


def _parts(ids: Sequence[str], units: Sequence[str], shard: dict[str, Any]) -> dict[str, int]:
    division = import_module("aqe_division")
    taken = division.weights(ids, shard["seconds"])
    together: dict[str, int] = {}
    for test, unit in zip(ids, units):  # noqa: B905 - old syntax
        together[unit] = together.get(unit, 0) + taken[test]
    return division.divide(together, shard["of"])


def _units(items: Sequence[pytest.Item], by: str) -> list[str]:
    """Return what stays together with each test."""
    files = [item.nodeid.partition("::")[0] for item in items]
    if by == "file":
        return files
    scopes = [_scopes(item) for item in items]
    classes = [_class(item) for item in items]
    whole = {file for file, own in zip(files, scopes) if own is None or "module" in own}  # noqa: B905
    shared = {of for of, own in zip(classes, scopes) if own is not None and "class" in own}  # noqa: B905
    units: list[str] = []
    for item, file, of in zip(items, files, classes):  # noqa: B905 - old syntax
        if file in whole:
            units.append(file)
        else:
            units.append(of if of in shared and of is not None else _known_as(item.nodeid))
    return units


def _class(item: pytest.Item) -> str | None:
    parent = item.getparent(pytest.Class)
    return None if parent is None else parent.nodeid


def _scopes(item: pytest.Item) -> set[str] | None:
    """Return the scopes of a test's fixtures; None where pytest does not tell them."""
    info: Any = getattr(item, "_fixtureinfo", None)
    if info is None:
        return None
    return {one.scope for several in info.name2fixturedefs.values() for one in several}
