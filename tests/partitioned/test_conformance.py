"""The conformance over partitioned entries. `make partitioned` runs what is here."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.partitioned.recipe import make_partitioned

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance import Connect, MemoryConformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.queue import QueueConformance
from lionagi_qe.testing.conformance.recall import RecallConformance
from lionagi_qe.testing.conformance.transfer import TransferConformance
from lionagi_qe.testing.conformance.watch import WatchConformance
from lionagi_qe.testing.servers import find_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(scope="module")
def partitioned() -> Iterator[str]:
    """A database whose memory was there before it was partitioned."""
    with find_postgres() as server, server.fresh_database() as url:
        asyncio.run(make_partitioned(url))
        yield url


class _Partitioned:
    @pytest.fixture
    def connect(self, partitioned: str) -> Connect:
        return partial(open_memory, partitioned)


class TestEntries(_Partitioned, MemoryConformance):
    pass


class TestWatchAndTransfer(_Partitioned, WatchConformance, TransferConformance):
    pass


class TestCoordination(_Partitioned, LeaseConformance, QueueConformance):
    pass


class TestRecall(_Partitioned, RecallConformance):
    pass
