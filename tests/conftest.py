"""Registers the suite's markers, and sets those that follow from a test's place and fixtures."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

TESTS = Path(__file__).parent
# These need a program that no wheel brings: make poolers runs them.
collect_ignore = [] if os.environ.get("AQE_POOLERS") else ["poolers"]
MARKERS = (
    "integration: needs a real server or runs several parts together",
    "postgres: needs PostgreSQL",
    "redis: needs Redis or Redis Cluster",
    "slow: takes more than five seconds",
    "e2e: runs whole agents or the command line",
    "chaos: breaks servers or the network on purpose",
    "load: puts much work on a server",
    "benchmark: measures and prints speeds",
)
# Marker: what sets it, a fixture that the test uses or the folder that it is in.
BY_FIXTURE = {
    "postgres": {"postgres_server", "own_postgres"},
    "redis": {"redis_server", "redis_cluster", "own_redis"},
}
BY_FOLDER = {
    "integration": "integration",
    "e2e": "e2e",
    "chaos": "chaos",
    "load": "load",
    "benchmark": "benchmarks",
}

# Tests of the former keep the processor busy, those of the latter wait for servers: side by side
# they take less time than one after the other. What is quick goes last, so that no worker is left
# alone with something long.
BUSY = ("e2e", "testing", "chaos", "cli", "corpus")
WAITING = ("integration", "integrations")
# The busy ones begin before so much of the way is gone: their longest are longer than all others.
BUSY_SHARE = 0.8


def pytest_configure(config: pytest.Config) -> None:
    # A shell that starts us in the background has us ignore Ctrl-C, and so the commands that we
    # start and interrupt; they inherit what is ignored, but no handler.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Known from pytest.ini, unless another configuration file is in use.
    known = set(config.getini("markers"))
    for marker in MARKERS:
        if marker not in known:
            config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = _in_order(items)
    for item in items:
        if isinstance(item, pytest.Function):
            for marker in _implied_markers(item):
                item.add_marker(marker)
            if "benchmark" in item.keywords and "benchmarks" not in item.path.parts:
                # Where make test would not look for it.
                raise pytest.UsageError(f"{item.nodeid}: benchmarks belong into tests/benchmarks")


def _in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which they are given out; those of a class stay together."""
    scopes: dict[str, list[pytest.Item]] = {}
    for item in items:
        scopes.setdefault(item.nodeid.rpartition("::")[0], []).append(item)
    folders = {scope: _folder(tests[0].path) for scope, tests in scopes.items()}
    busy = [scope for name in BUSY for scope, folder in folders.items() if folder == name]
    waiting = [scope for scope, folder in folders.items() if folder in WAITING]
    places = {scope: BUSY_SHARE * at / len(busy) for at, scope in enumerate(busy)}
    places |= {scope: at / len(waiting) for at, scope in enumerate(waiting)}
    ordered = sorted(scopes, key=lambda scope: places.get(scope, 1.0))
    return [test for scope in ordered for test in scopes[scope]]


def _folder(file: Path) -> str:
    return file.relative_to(TESTS).parts[0] if file.is_relative_to(TESTS) else ""


def _implied_markers(test: pytest.Function) -> Iterable[str]:
    for marker, fixtures in BY_FIXTURE.items():
        if fixtures.intersection(test.fixturenames):
            yield marker
    yield from _markers_of_folder(test.path.parent)


@functools.cache
def _markers_of_folder(folder: Path) -> list[str]:
    parts = folder.relative_to(TESTS).parts
    return [marker for marker, name in BY_FOLDER.items() if name in parts]
