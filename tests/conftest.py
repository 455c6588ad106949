"""Registers the suite's markers, and sets those that follow from a test's place and fixtures."""

from __future__ import annotations

import ast
import functools
import gc
import os
import signal
import sys
import threading
from importlib import import_module
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

TESTS = Path(__file__).parent
# The first need a program that no wheel brings, the others take long: make poolers, and so on.
collect_ignore = [
    folder
    for folder in ("poolers", "encrypted", "granted", "partitioned")
    if not os.environ.get(f"AQE_{folder.upper()}")
]
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

# What takes longest goes first, so that no worker is left alone with it at the end of a run.
LONGEST_FIRST = (
    *("e2e", "testing", "cli", "web", "integrations", "corpus", "docs"),
    *("learning", "fuzz", "agents", "security", "load", "coordination"),
)
# What waits for servers and for time to pass runs beside what keeps the processors busy.
MOSTLY_WAITING = ("chaos", "integration")


# A busy machine is no fault of what is tried: none of Hypothesis' clocks fails a test.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def _one_at_a_time(parse: Callable[..., ast.AST]) -> Callable[..., ast.AST]:
    lock = threading.Lock()

    @functools.wraps(parse)
    def in_turn(*arguments: object, **options: object) -> ast.AST:
        with lock:
            return parse(*arguments, **options)

    return in_turn


if sys.version_info < (3, 11, 8):
    # See lionagi_qe.agents.project.parsing: Hypothesis parses the tests and has a callback of the
    # garbage collector; tracebacks, which other threads write to the log, parse their lines.
    ast.parse = _one_at_a_time(ast.parse)


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
    places = {file: at for at, file in enumerate(_ordered({item.path: None for item in items}))}
    items.sort(key=lambda item: places[item.path])
    for item in items:
        if isinstance(item, pytest.Function):
            for marker in _implied_markers(item):
                item.add_marker(marker)
            if "benchmark" in item.keywords and "benchmarks" not in item.path.parts:
                # Where make test would not look for it.
                raise pytest.UsageError(f"{item.nodeid}: benchmarks belong into tests/benchmarks")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    # All that is made now stays: looking through it again and again took a sixth of the time.
    gc.disable()
    try:
        _rewrite_share(session)
        return (yield)
    finally:
        gc.enable()


def _rewrite_share(session: pytest.Session) -> None:
    """Import a worker's share of the test files first, so that no two workers rewrite the same.

    pytest keeps what it has rewritten. In a clean clone each of six workers did all of it, at once,
    which took a third of what they needed until their first test.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker or session.config.args_source is pytest.Config.ArgsSource.ARGS:
        return
    number, count = int(worker[2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    files = sorted(TESTS.rglob("test_*.py"))
    wanted = [each for each in files if _folder(each) not in collect_ignore]
    for file in wanted[number::count]:
        import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    # Ten thousand tests and what they import stay until the end: no collection needs to look at
    # them again, which took an eighth of the processor time of the tests' own processes. Nor for
    # what of it is garbage: to find that took a tenth of collecting, in each worker.
    gc.freeze()


def _ordered(files: Iterable[Path]) -> Iterable[Path]:
    """Return test files in the order in which they begin: by turns what waits, and the rest."""
    ranked = sorted(files, key=_rank)
    waiting = [file for file in ranked if _folder(file) in MOSTLY_WAITING]
    busy = [file for file in ranked if _folder(file) not in MOSTLY_WAITING]
    turns = chain.from_iterable(zip_longest(busy, waiting))
    return (file for file in turns if file is not None)


def _rank(file: Path) -> int:
    order = (*LONGEST_FIRST, *MOSTLY_WAITING)
    folder = _folder(file)
    return order.index(folder) if folder in order else len(order)


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
