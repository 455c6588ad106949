"""The servers of a load, started as they come, and what each tells of itself while it is loaded."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import apsw
import asyncpg
import redis.asyncio

from lionagi_qe.testing.servers import PostgresServer, RedisCluster, RedisServer
from lionagi_qe.testing.servers.data_folder import DATA_VARIABLE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

MEBIBYTE = 2**20
_CONNECTIONS = """
SELECT count(*)::float8 AS connections,
    coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
        AS "oldest transaction, s"
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
"""
# A table's size is with its indexes and what is stored out of line.
_TABLES = """
SELECT relname AS name, n_dead_tup::float8 AS dead,
    pg_total_relation_size(relid)::float8 / 1048576 AS size,
    pg_indexes_size(relid)::float8 / 1048576 AS indexes,
    (autovacuum_count + vacuum_count)::float8 AS vacuums
FROM pg_stat_user_tables WHERE schemaname = 'lionagi_qe'
"""
# Of smaller tables nothing is drawn by itself.
_SMALL_TABLE = 0.25


class Probe(ABC):
    """Reads a server's figures by a connection of its own, past the memory. Used by its system.

    Names of figures begin with what they are of: "size", "dead rows", "connections", ...
    """

    @abstractmethod
    async def figures(self) -> dict[str, float]:
        """Return what there is now; sizes in MiB."""

    @abstractmethod
    async def close(self) -> None:
        """Give the connection back."""


class PostgresProbe(Probe):
    """Connections, the oldest transaction, dead rows and relation sizes of a PostgreSQL memory."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def figures(self) -> dict[str, float]:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._url)
        found = dict(await self._connection.fetchrow(_CONNECTIONS))
        tables = await self._connection.fetch(_TABLES)
        found["dead rows"] = sum(row["dead"] for row in tables)
        found["size"] = sum(row["size"] for row in tables)
        found["size of indexes"] = sum(row["indexes"] for row in tables)
        found["vacuums"] = sum(row["vacuums"] for row in tables)
        for row in tables:
            if row["size"] >= _SMALL_TABLE:
                found[f"size of {row['name']}"] = row["size"]
                found[f"dead rows of {row['name']}"] = row["dead"]
        return found

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


class RedisProbe(Probe):
    """Memory, keys and connections of Redis servers; sums, where there are several."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._clients = [redis.asyncio.Redis(port=port, protocol=2) for port in ports]

    async def figures(self) -> dict[str, float]:
        told = await asyncio.gather(*(client.info("everything") for client in self._clients))
        keys = await asyncio.gather(*(client.dbsize() for client in self._clients))

        def total(name: str) -> float:
            return float(sum(each.get(name, 0) for each in told))

        return {
            # Without this probe's own.
            "connections": total("connected_clients") - len(self._clients),
            "keys": float(sum(keys)),
            "size": total("used_memory") / MEBIBYTE,
            "size of data": total("used_memory_dataset") / MEBIBYTE,
            "size of buffers": total("mem_clients_normal") / MEBIBYTE,
            "size of scripts": (total("used_memory_scripts_eval") + total("used_memory_vm_eval"))
            / MEBIBYTE,
            "rss of the server": total("used_memory_rss") / MEBIBYTE,
            "append-only file": total("aof_current_size") / MEBIBYTE,
        }

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class SqliteProbe(Probe):
    """Sizes of a SQLite file, of its write-ahead log, and of what is free in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def figures(self) -> dict[str, float]:
        log = self._path.with_name(f"{self._path.name}-wal")
        size = await asyncio.to_thread(lambda: self._path.stat().st_size / MEBIBYTE)
        logged = log.stat().st_size / MEBIBYTE if log.exists() else 0.0
        return {"size": size, "write-ahead log": logged, "size of free pages": self._free()}

    async def close(self) -> None:
        """Do nothing: each connection is closed where it is opened."""

    def _free(self) -> float:
        # For a moment: whoever reads for long keeps the log from being written over.
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(5_000)
            pages = connection.pragma("freelist_count")
            size = connection.pragma("page_size")
        finally:
            connection.close()
        return float(pages) * float(size) / MEBIBYTE


@dataclass
class System:
    """What a run loads.

    Attributes:
        url: of the memory.
        versions: of the servers.
        probes: by the name of what each looks at.
        cache: of the cache in front, if any.
    """

    url: str
    versions: str
    probes: dict[str, Probe]
    cache: str | None = None

    async def figures(self) -> dict[str, float]:
        """Return what all probes read now; of several, each name with its server before it."""
        found: dict[str, float] = {}
        for name, probe in self.probes.items():
            prefix = "" if len(self.probes) == 1 else f"{name}: "
            found |= {f"{prefix}{each}": value for each, value in (await probe.figures()).items()}
        return found


@asynccontextmanager
async def _sqlite() -> AsyncGenerator[System]:
    with TemporaryDirectory(prefix="aqe-load-", dir=os.environ.get(DATA_VARIABLE)) as folder:
        path = Path(folder) / "memory.db"
        version = f"SQLite {apsw.sqlite_lib_version()}"
        yield System(f"sqlite:///{path}", version, {"file": SqliteProbe(path)})


@asynccontextmanager
async def _postgres() -> AsyncGenerator[System]:
    with PostgresServer() as server:
        probe = PostgresProbe(server.url)
        yield System(server.url, f"PostgreSQL {server.version}", {"PostgreSQL": probe})
        await probe.close()


@asynccontextmanager
async def _redis() -> AsyncGenerator[System]:
    with RedisServer() as server:
        probe = RedisProbe([server.port])
        yield System(server.url, f"Redis {server.version}", {"Redis": probe})
        await probe.close()


@asynccontextmanager
async def _cluster() -> AsyncGenerator[System]:
    with RedisCluster() as nodes:
        probe = RedisProbe([node.port for node in nodes.nodes])
        version = f"Redis Cluster {nodes.version}, {len(nodes.nodes)} nodes"
        # The first two segments decide on the shard: a process's agents and queues share one.
        yield System(f"{nodes.url}?colocate=2", version, {"Redis": probe})
        await probe.close()


@asynccontextmanager
async def _hybrid() -> AsyncGenerator[System]:
    async with AsyncExitStack() as stack:
        durable = await stack.enter_async_context(_postgres())
        cache = await stack.enter_async_context(_redis())
        yield System(
            durable.url,
            f"{durable.versions} behind {cache.versions}",
            {**durable.probes, **cache.probes},
            cache=cache.url,
        )


SYSTEMS = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "redis": _redis,
    "cluster": _cluster,
    "hybrid": _hybrid,
}
