"""The contract of memories, queues and leases over encrypted memories, on real servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.persistence.encryption.keys import KeyRing
from lionagi_qe.testing.conformance import MemoryConformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.queue import QueueConformance

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration
KEYS = KeyRing.parse(f"{KeyRing.generate('new')},{KeyRing.generate('old')}")


class EncryptedConformance(MemoryConformance, LeaseConformance, QueueConformance):
    """All of it, but for the sizes that statistics tell: those are of what is sealed."""

    async def test_stats_count_keys_partitions_and_bytes(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/n/{at}": "x" * 98 for at in range(10)})
        stats = await memory.get_stats()
        assert stats["total_keys"] == 10
        assert stats["size_bytes"] > 10 * 100


class TestSqlite(EncryptedConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(open_memory, f"sqlite:///{tmp_path}/memory.db", keys=KEYS)


@pytest.mark.redis
class TestRedis(EncryptedConformance):
    @pytest.fixture
    def connect(self, redis_url: str) -> Connect:
        return partial(open_memory, redis_url, keys=KEYS)
