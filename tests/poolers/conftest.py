"""A PostgreSQL server with a PgBouncer of each mode before it. `make poolers` runs what is here."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.testing.servers import PgBouncer, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lionagi_qe.testing.servers.pgbouncer import PoolMode


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """What is behind the poolers."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def pooler(server: PostgresServer) -> Iterator[Callable[[PoolMode], PgBouncer]]:
    """A function that starts a pooler of a mode, or gives the one that runs."""
    running: dict[str, PgBouncer] = {}
    with ExitStack() as stack:

        def start(mode: PoolMode) -> PgBouncer:
            if mode not in running:
                running[mode] = stack.enter_context(
                    PgBouncer(server, mode, settings={"default_pool_size": "50"})
                )
            return running[mode]

        yield start
