"""Presence and sessions over every backend, on real servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.presence import PresenceConformance

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration


class TestPrivateMemory(PresenceConformance):
    shared = False

    @pytest.fixture
    def connect(self) -> Connect:
        return partial(open_memory, "memory://")


class TestSqliteMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(open_memory, f"sqlite:///{tmp_path / 'memory.db'}")


@pytest.mark.postgres
class TestPostgresMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, postgres_url: str) -> Connect:
        return partial(open_memory, postgres_url)


@pytest.mark.redis
class TestRedisMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, redis_url: str) -> Connect:
        return partial(open_memory, redis_url)


@pytest.mark.redis
class TestRedisClusterMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, redis_cluster_url: str) -> Connect:
        return partial(open_memory, redis_cluster_url)


@pytest.mark.postgres
@pytest.mark.redis
class TestHybridMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        return partial(open_memory, postgres_url, cache=redis_url)
