"""The shipped conformance of memories, leases, queues and watches through PgBouncer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import PostgresMemory
from lionagi_qe.testing.conformance import MemoryConformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.queue import QueueConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.conformance import Connect
    from lionagi_qe.testing.servers import PgBouncer, PostgresServer
    from lionagi_qe.testing.servers.pgbouncer import PoolMode

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


class Everything(MemoryConformance, LeaseConformance, QueueConformance, WatchConformance):
    """All of it."""


def _through(mode: PoolMode, *, listens: bool) -> type[Any]:
    @pytest.fixture
    def connect(
        self: Any, server: PostgresServer, pooler: Callable[[PoolMode], PgBouncer]
    ) -> Connect:
        del self
        listen_url = server.url if listens else None
        return partial(PostgresMemory, pooler(mode).url, listen_url=listen_url)

    made = type("Test", (Everything,), {"shared": True, "connect": connect})
    made.__module__ = __name__
    return made


TestSessionMode = _through("session", listens=False)
TestTransactionMode = _through("transaction", listens=False)
TestTransactionModeListeningDirectly = _through("transaction", listens=True)
