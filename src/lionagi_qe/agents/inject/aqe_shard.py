"""A pytest plugin that runs one shard of the tests, where sessions beside it run the others.

The variable AQE_SHARD names a JSON file: {"own": [file] or null, "others": [file], "collected":
path}. Tests of "own" run; if that is null, all but those of "others": whatever nobody was given,
new tests as well. All are collected, so that each session has imported what any other one has;
which they are is written to "collected", {"ids": [id]}.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave out the tests of other shards, when all plugins have chosen and sorted."""
    with open(os.environ["AQE_SHARD"], encoding="utf-8") as file:  # noqa: PTH123
        shard: dict[str, Any] = json.load(file)
    with open(shard["collected"], "w", encoding="utf-8") as collected:  # noqa: PTH123
        json.dump({"ids": [item.nodeid for item in session.items]}, collected)
    own = None if shard["own"] is None else set(shard["own"])
    others = set(shard["others"])

    def is_own(item: pytest.Item) -> bool:
        file = item.nodeid.partition("::")[0]
        return file not in others if own is None else file in own

    session.items[:] = [item for item in session.items if is_own(item)]
