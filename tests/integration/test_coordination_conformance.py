"""The shipped conformance of leases and queues over every backend, on real servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.queue import QueueConformance

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.testing.conformance.base import Connect

pytestmark = pytest.mark.integration


class CoordinationConformance(LeaseConformance, QueueConformance):
    """All of it."""


class TestPrivateMemory(CoordinationConformance):
    shared = False

    @pytest.fixture
    def connect(self) -> Connect:
        return partial(open_memory, "memory://")


class TestSqliteMemory(CoordinationConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(open_memory, f"sqlite:///{tmp_path / 'memory.db'}")


@pytest.mark.postgres
class TestPostgresMemory(CoordinationConformance):
    @pytest.fixture
    def connect(self, postgres_url: str) -> Connect:
        return partial(open_memory, postgres_url)


@pytest.mark.redis
class TestRedisMemory(CoordinationConformance):
    @pytest.fixture
    def connect(self, redis_url: str) -> Connect:
        return partial(open_memory, redis_url)


@pytest.mark.redis
class TestRedisClusterMemory(CoordinationConformance):
    @pytest.fixture
    def connect(self, redis_cluster_url: str) -> Connect:
        # Keys that begin alike share a shard, so that steps over them are possible.
        return partial(open_memory, f"{redis_cluster_url}?colocate=1")
