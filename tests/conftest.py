"""Registers the suite's markers, so that they are known under another configuration file too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

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


def pytest_configure(config: pytest.Config) -> None:
    known = set(config.getini("markers"))
    for marker in MARKERS:
        if marker not in known:
            config.addinivalue_line("markers", marker)
