"""The backends that tests run on: one list for fixtures, and one for conformance suites."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _pytest.mark import ParameterSet

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.conformance import Connect

MARKS = {
    "memory": (),
    "sqlite": (),
    "postgresql": (pytest.mark.integration, pytest.mark.postgres),
    "redis": (pytest.mark.integration, pytest.mark.redis),
    "cluster": (pytest.mark.integration, pytest.mark.redis),
}
SERVERS = {"postgresql": "postgres_url", "redis": "redis_url", "cluster": "redis_cluster_url"}
CLASSES = {
    "memory": "TestPrivateMemory",
    "sqlite": "TestSqliteMemory",
    "postgresql": "TestPostgresMemory",
    "redis": "TestRedisMemory",
    "cluster": "TestRedisClusterMemory",
}
# Of processes, which a private memory can't be shared by.
SHARED = ("sqlite", "postgresql", "redis", "cluster")


def on(*names: str) -> list[ParameterSet]:
    """Return the parameters of a fixture that goes through these backends; see ``url_of``."""
    return [pytest.param(name, id=name, marks=MARKS[name]) for name in names]


def url_of(request: pytest.FixtureRequest) -> str:
    """Return the URL of the backend that is the turn of the fixture that asks."""
    name = request.param
    if name == "memory":
        return "memory://"
    if name == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("sqlite")
        return f"sqlite:///{folder / 'memory.db'}"
    return str(request.getfixturevalue(SERVERS[name]))


def on_every_backend(
    suite: type[Any],
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    options: str = "",
    opening: Callable[..., Memory] = open_memory,
) -> dict[str, type[Any]]:
    """Return the classes by which pytest runs a conformance suite on each backend, by name.

    Args:
        suite: the suite.
        settings: backend -> attributes of the suite that differ there.
        options: added to the URL of a cluster.
        opening: makes a memory of a URL and settings.

    """
    found: dict[str, type[Any]] = {}
    for name, label in CLASSES.items():
        own = {"shared": name != "memory", **(settings or {}).get(name, {})}
        made = type(label, (suite,), {**own, "connect": _connect(name, options, opening)})
        made.__module__ = suite.__module__
        found[label] = made
        for mark in MARKS[name]:
            mark(made)
    return found


def _connect(name: str, options: str, opening: Callable[..., Memory]) -> Any:
    server = SERVERS.get(name)
    if server is None:

        @pytest.fixture
        def connect(self: Any, tmp_path: Any) -> Connect:
            del self
            return partial(
                opening, "memory://" if name == "memory" else f"sqlite:///{tmp_path}/memory.db"
            )

        return connect

    @pytest.fixture
    def connect_to_server(self: Any, request: pytest.FixtureRequest) -> Connect:
        del self
        url = request.getfixturevalue(server)
        return partial(opening, f"{url}{options}" if name == "cluster" else url)

    return connect_to_server
