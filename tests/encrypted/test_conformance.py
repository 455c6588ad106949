"""The whole shipped conformance over encrypted memories. `make encrypted` runs what is here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends import on_every_backend

from lionagi_qe import KeyRing, open_memory
from lionagi_qe.testing.conformance import MemoryConformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.presence import PresenceConformance
from lionagi_qe.testing.conformance.queue import QueueConformance
from lionagi_qe.testing.conformance.scopes import ScopesConformance
from lionagi_qe.testing.conformance.transfer import TransferConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration
KEYS = KeyRing.parse(f"{KeyRing.generate('new')},{KeyRing.generate('old')}")
opening = partial(open_memory, keys=KEYS)


class Entries(MemoryConformance):
    """All of it, but for the sizes that statistics tell: those are of what is sealed."""

    async def test_stats_count_keys_partitions_and_bytes(self, memory: Memory) -> None:
        await memory.store_many({f"aqe/n/{at}": "x" * 98 for at in range(10)})
        stats = await memory.get_stats()
        assert stats["total_keys"] == 10
        assert stats["size_bytes"] > 10 * 100


class Coordination(LeaseConformance, QueueConformance):
    """All of it."""


class Transfers(TransferConformance):
    """All of it, between memories with the same keys."""

    @pytest.fixture
    async def private(self, opened: AsyncExitStack) -> Memory:
        """Open an encrypted memory of this process, to copy from and to."""
        return await opened.enter_async_context(opening("memory://"))

    # It damages lines in clear; sealed ones: tests/security/test_sealed_archives.py.
    test_a_damaged_file_is_found_out: Any = None


def _named(suite: type, options: str = "") -> dict[str, type]:
    unordered = {"cluster": {"ordered": False}}
    made = on_every_backend(suite, unordered, options=options, opening=opening)
    return {f"{name}{suite.__name__}": each for name, each in made.items()}


globals().update(_named(Entries))
globals().update(_named(Transfers))
for _suite in (Coordination, WatchConformance, PresenceConformance, ScopesConformance):
    globals().update(_named(_suite, "?colocate=1"))


@pytest.mark.postgres
@pytest.mark.redis
class TestRedisOverPostgres(Entries, WatchConformance):
    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        return partial(opening, postgres_url, cache=redis_url)


@pytest.mark.redis
class TestRedisOverSqlite(Entries, LeaseConformance, QueueConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path, redis_url: str) -> Connect:
        return partial(opening, f"sqlite:///{tmp_path}/memory.db", cache=redis_url)
