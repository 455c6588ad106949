"""Reads processor time, memory and sizes of servers that run on this machine, and of this process.

Processor time is the kernel's count of nanoseconds that a process ran (``schedstat``), or what the
server tells of itself; none of it depends on who else is at work on the machine.
"""

from __future__ import annotations

import asyncio
import resource
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import asyncpg
import redis.asyncio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from lionagi_qe import Memory

_PROC = Path("/proc")
# A buffer of the log that is empty is kept up to some size.
_IDLE_BYTES = 8_000
# What belongs to an entry, a part of its bytes each.
_SIZES = """
SELECT pg_relation_size(c.oid) AS "table", coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
    + coalesce((SELECT pg_relation_size(indexrelid) FROM pg_index
        WHERE indrelid = c.reltoastrelid), 0) AS toast,
    pg_relation_size(to_regclass($1 || '.entries_pkey')) AS primary_key,
    pg_relation_size(to_regclass($1 || '.entries_by_partition')) AS by_partition,
    pg_relation_size(to_regclass($1 || '.entries_by_expiry')) AS by_expiry,
    pg_total_relation_size(to_regclass($1 || '.changes')) AS changes
FROM pg_class AS c WHERE c.oid = to_regclass($1 || '.entries')
"""
_SQLITE_SIZES = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
_SQLITE_PARTS = {
    "entries": "table",
    "sqlite_autoindex_entries_1": "primary_key",
    "entries_by_partition": "by_partition",
    "entries_by_expiry": "by_expiry",
    "entries_by_revision": "by_revision",
}


class Meter(ABC):
    """What a kind of server lets us read. Used by ``async with``."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @abstractmethod
    async def server_us(self) -> float:
        """Return the processor time that the server took until now, in microseconds."""

    @abstractmethod
    async def sizes(self) -> dict[str, int]:
        """Return bytes by part."""

    @abstractmethod
    async def logged(self) -> int | None:
        """Return how many bytes of log were written until now; None where there is no such log."""

    @abstractmethod
    async def empty(self) -> None:
        """Delete all entries at once, as if they had never been."""

    @abstractmethod
    async def compact(self) -> None:
        """Leave nothing but what is there: no versions of before, no free room."""

    async def begin_log(self, *, whole_pages: bool = False) -> None:
        """Begin a new log, so that what is logged from now on is counted from its beginning."""
        del whole_pages

    @abstractmethod
    async def connection_bytes(self, memory: Memory) -> float:
        """Return the memory that each of the open connections of ``memory`` takes."""

    @staticmethod
    def client_us() -> float:
        """Return the processor time that this process took until now, in microseconds."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return (used.ru_utime + used.ru_stime) * 1e6


class PostgresMeter(Meter):
    """Of a PostgreSQL server on this machine, by its processes."""

    def __init__(self, url: str, schema: str = "lionagi_qe") -> None:
        self._url = url
        self._schema = schema

    async def __aenter__(self) -> Self:
        self.connection: Any = await asyncpg.connect(self._url)
        backend = await self.connection.fetchval("SELECT pg_backend_pid()")
        self._postmaster = _parent(backend)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def server_us(self) -> float:
        # The time of processes that ended is not in it: connections stay open while we measure.
        return sum(map(_ran_us, self.processes()))

    def processes(self) -> list[int]:
        """Return the process ids of the server, but for those that come and go by themselves."""
        found = [int(each.name) for each in _PROC.iterdir() if each.name.isdecimal()]
        own = [pid for pid in found if pid == self._postmaster or _parent(pid) == self._postmaster]
        return [pid for pid in own if b"autovacuum worker" not in _title(pid)]

    async def sizes(self) -> dict[str, int]:
        return dict(await self.connection.fetchrow(_SIZES, self._schema))

    async def logged(self) -> int:
        return await self.connection.fetchval(
            "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
        )

    async def empty(self) -> None:
        await self.connection.execute(f"TRUNCATE {self._schema}.entries, {self._schema}.changes")

    async def compact(self) -> None:
        await self.connection.execute(f"VACUUM FULL {self._schema}.entries")

    async def begin_log(self, *, whole_pages: bool = False) -> None:
        wanted = "on" if whole_pages else "off"
        await self.connection.execute(f"ALTER SYSTEM SET full_page_writes = {wanted}")
        await self.connection.execute("SELECT pg_reload_conf()")
        # The checkpointer takes the setting up, and then writes.
        while await self.connection.fetchval("SHOW full_page_writes") != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.connection.execute("CHECKPOINT")

    async def connection_bytes(self, memory: Memory) -> float:
        del memory
        found = await self.connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() AND datname = current_database()"
        )
        return sum(_own_bytes(row["pid"]) for row in found) / len(found)

    async def keys_on_pages_of_their_own(self, limit: int) -> list[str]:
        """Return keys of entries that lie on different pages."""
        rows = await self.connection.fetch(
            f"SELECT DISTINCT ON ((ctid::text::point)[0]) key FROM {self._schema}.entries LIMIT $1",  # noqa: S608 - ours
            limit,
        )
        return [row["key"] for row in rows]


class RedisMeter(Meter):
    """Of a Redis server, by what it tells."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(url)

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def told(self, section: str) -> Mapping[str, Any]:
        """Return what INFO tells."""
        return await self._client.info(section)

    async def server_us(self) -> float:
        told = await self.told("cpu")
        return (told["used_cpu_sys"] + told["used_cpu_user"]) * 1e6

    async def sizes(self) -> dict[str, int]:
        # Buffers of clients and of the log, and what scripts left behind, come and go.
        while (told := await self.told("memory"))["mem_aof_buffer"] > _IDLE_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        passing = told["mem_clients_normal"] + told.get("used_memory_vm_eval", 0)
        return {"memory": told["used_memory"] - passing}

    async def logged(self) -> int | None:
        # While the file is synced, what comes after is kept back.
        while (told := await self.told("persistence")).get("aof_buffer_length"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return int(told["aof_current_size"]) if told["aof_enabled"] else None

    async def empty(self) -> None:
        await self._client.flushall(asynchronous=False)

    async def compact(self) -> None:
        return None

    async def connection_bytes(self, memory: Memory) -> float:
        del memory
        found = [int(each["tot-mem"]) for each in await self._client.client_list()]
        return sum(found) / len(found)


class SqliteMeter(Meter):
    """Of a SQLite file, which this process reads and writes: there is no server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def server_us(self) -> float:
        return 0.0

    async def sizes(self) -> dict[str, int]:
        connection = apsw.Connection(str(self._path))
        try:
            found = {str(name): int(size) for name, size in connection.execute(_SQLITE_SIZES)}
        finally:
            connection.close()
        return {part: found.get(name, 0) for name, part in _SQLITE_PARTS.items()}

    async def logged(self) -> int:
        log = self._path.with_name(f"{self._path.name}-wal")
        return log.stat().st_size if log.exists() else 0

    async def empty(self) -> None:
        await self._run("DELETE FROM entries; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")

    async def compact(self) -> None:
        await self._run("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")

    async def begin_log(self, *, whole_pages: bool = False) -> None:
        del whole_pages
        await self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    async def connection_bytes(self, memory: Memory) -> float:
        return float((await memory.get_stats())["server"]["used_memory"])

    async def _run(self, statements: str) -> None:
        connection = apsw.Connection(str(self._path))
        try:
            connection.execute(statements).fetchall()
        finally:
            connection.close()


def meter_of(memory_url: str) -> Meter:
    """Return the meter of the server that a memory's URL names."""
    if memory_url.startswith("postgresql:"):
        return PostgresMeter(memory_url)
    if memory_url.startswith("redis:"):
        return RedisMeter(memory_url)
    return SqliteMeter(Path(memory_url.removeprefix("sqlite:///")))


def _parent(pid: int) -> int | None:
    try:
        # pid (command) state parent ...; a command may hold spaces and parentheses.
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[1])


def _title(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _ran_us(pid: int) -> float:
    try:
        text = (_PROC / str(pid) / "schedstat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return int(text.split()[0]) / 1000


def _own_bytes(pid: int) -> int:
    """Return the memory of a process that is no file's and not shared: no buffers of the server."""
    lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
