"""What a server tells of its health, for who judges it: ``aqe doctor``."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.caching.backend import HybridBackend
from lionagi_qe.persistence.encryption.backend import EncryptedBackend
from lionagi_qe.persistence.encryption.keys import sealed_by
from lionagi_qe.persistence.hidden_names.backend import HiddenNamesBackend
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.keys import ROOT, KeyRange

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.memory import Memory

_SECONDS = 10.0
_CLOCK_SAMPLES = 5
_SAMPLE = 20


def stored_by(memory: Memory) -> Backend:
    """Return the backend that holds the entries, behind a cache, keys and hidden names."""
    backend = parts_of(memory).backend
    while True:
        if isinstance(backend, EncryptedBackend | HiddenNamesBackend):
            backend = backend.inner
        elif isinstance(backend, HybridBackend):
            backend = backend.durable
        else:
            return backend


async def probe(memory: Memory) -> dict[str, Any]:
    """Return what a server that is only like ours can't do, before the memory is opened.

    {} where there is no such thing. Else ``system``, who answers, and ``lacking``, the reason for
    each thing that the memory needs and the server refuses.
    """
    backend = stored_by(memory)
    if backend.capabilities.name != "postgresql":
        return {}
    from lionagi_qe.persistence.postgres.backend import PostgresBackend
    from lionagi_qe.persistence.postgres.inspection import probe as probe_postgres

    return await probe_postgres(backend) if isinstance(backend, PostgresBackend) else {}


async def inspect(memory: Memory) -> dict[str, Any]:
    """Return figures of the server that an open memory lies on; {} of a backend that is not ours.

    Which there are: the modules ``inspection`` of the backends. A few round trips, and no look at
    the entries.
    """
    backend = stored_by(memory)
    async with asyncio.timeout(_SECONDS):
        return await _inspect(backend)


async def _inspect(backend: Backend) -> dict[str, Any]:
    match backend.capabilities.name:
        case "postgresql":
            from lionagi_qe.persistence.postgres.backend import PostgresBackend
            from lionagi_qe.persistence.postgres.inspection import inspect as inspect_postgres

            return await inspect_postgres(backend) if isinstance(backend, PostgresBackend) else {}
        case "redis":
            from lionagi_qe.persistence.redis.backend import RedisBackend
            from lionagi_qe.persistence.redis.inspection import inspect as inspect_redis

            return await inspect_redis(backend) if isinstance(backend, RedisBackend) else {}
        case "sqlite":
            from lionagi_qe.persistence.sqlite.backend import SqliteBackend
            from lionagi_qe.persistence.sqlite.inspection import inspect as inspect_sqlite

            return await inspect_sqlite(backend) if isinstance(backend, SqliteBackend) else {}
        case _:
            return {}


async def clock_skew(memory: Memory) -> tuple[float, float]:
    """Return by how many ms the server's clock is ahead of ours, and how wrong that may be.

    The quickest of five answers is taken: it bounds the error best.
    """
    found: list[tuple[float, float]] = []
    for _ in range(_CLOCK_SAMPLES):
        before = time.time_ns() / 1e6
        server = await parts_of(memory).bulk.clock()
        after = time.time_ns() / 1e6
        # The server tells whole milliseconds.
        found.append(((after - before) / 2 + 1, server - (before + after) / 2))
    error, skew = min(found)
    return skew, error


async def sealing_keys(memory: Memory) -> tuple[set[str], int]:
    """Return the ids of the keys that some stored entries are sealed by, and how many aren't.

    Looks at the first 20 entries as they are stored; needs no key.
    """
    async with asyncio.timeout(_SECONDS):
        page = await stored_by(memory).page(KeyRange.of_prefix(ROOT), _SAMPLE, None)
    keys = [sealed_by(record.payload) for record in page.records]
    return {key for key in keys if key is not None}, keys.count(None)
