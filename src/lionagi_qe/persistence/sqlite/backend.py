"""The SQLite backend: one writer thread, one reader thread, write-ahead log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from lionagi_qe.errors import BackendUnavailableError
from lionagi_qe.persistence.contract.backend import Capabilities
from lionagi_qe.persistence.contract.records import KeyPage, Page, PayloadPage, Record, Stats, Sweep
from lionagi_qe.persistence.contract.refused import partly_applied
from lionagi_qe.persistence.server_support.migrations import shown_migrations
from lionagi_qe.persistence.sqlite import statements as sql
from lionagi_qe.persistence.sqlite.indexes import SqliteIndexes
from lionagi_qe.persistence.sqlite.lease import SqliteLeases
from lionagi_qe.persistence.sqlite.limits import SqliteLimits
from lionagi_qe.persistence.sqlite.log import SqliteLog
from lionagi_qe.persistence.sqlite.operations import DELETED, EXPIRED, apply, bury, reserve
from lionagi_qe.persistence.sqlite.queue import SqliteJobs
from lionagi_qe.persistence.sqlite.schedules import SqliteSchedules
from lionagi_qe.persistence.sqlite.schema import (
    applied_migrations,
    now,
)
from lionagi_qe.persistence.sqlite.session import SqliteSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.values.keys import KeyRange

T = TypeVar("T")
MAX_PAGE_BYTES = 16 * 1024 * 1024
EXACT_COUNT_LIMIT = 100_000


class SqliteBackend:
    """Entries in one SQLite file, safe for many processes, or in memory for this one alone.

    Args:
        path: the file, or ":memory:" for a private memory that ends with the process.
        synchronous: "full" keeps every acknowledged write through a power cut; "normal" may lose
            the last ones then (never through a crash of the process) and is faster.
        busy_seconds: how long a call waits for other processes' locks.
    """

    def __init__(self, path: str, *, synchronous: str = "full", busy_seconds: float = 9.0) -> None:
        self.session = SqliteSession(path, synchronous=synchronous, busy_seconds=busy_seconds)
        self.leases = SqliteLeases(self.session)
        self.jobs = SqliteJobs(self.session)
        self.schedules = SqliteSchedules(self.session)
        self.limits = SqliteLimits(self.session, self.jobs.notifier.notify)
        self.log = SqliteLog(self.session, self.sweep)
        self.indexes = SqliteIndexes(self.session)

    @property
    def where(self) -> str:
        """The file, for people."""
        return "SQLite, private" if self.session.is_private else f"SQLite at {self.session.path}"

    @property
    def capabilities(self) -> Capabilities:
        """SQLite's promises."""
        if self.session.is_private:
            durability = "none: the memory ends with the process"
        elif self.session.synchronous == "full":
            durability = "every acknowledged write survives a power cut (synchronous=FULL)"
        else:
            durability = "survives a crash of the process; a power cut may take the last writes"
        return Capabilities("sqlite", max_concurrent_batches=1, durability=durability, learns=True)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Create or check the file and its schema, and enter the fleet."""
        await self.session.open(fleet, migrate=migrate)

    async def close(self) -> None:
        """Close both connections and end their threads."""
        await self.jobs.close()
        await self.session.close()

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply all operations in one transaction."""
        return await self.session.transact(
            lambda connection: apply(
                connection, self.session.fleet, operations, now(), atomic=atomic
            )
        )

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete in keyset order what was stored up to the revision at the start."""

        def look(connection: apsw.Connection) -> Any:  # noqa: ANN401 - what SQLite holds
            return connection.execute(sql.CURRENT_REVISION, {"fleet": self.session.fleet}).get

        newest = await self.session.read(look)
        bound = {
            "fleet": self.session.fleet,
            "partition": partition,
            "newest": newest,
            "after": "",
            "limit": batch,
        }

        def step(connection: apsw.Connection) -> tuple[int, str | None]:
            moment = now()
            rows: list[Any] = connection.execute(
                sql.PARTITION_BATCH, {**bound, "now": moment}
            ).fetchall()
            revision = reserve(connection, self.session.fleet, len(rows))
            for at, (key, live) in enumerate(rows, 1):
                tomb = {
                    "fleet": self.session.fleet,
                    "key": key,
                    "now": moment,
                    "revision": revision + at,
                }
                bury(connection, tomb, DELETED if live else EXPIRED)
            return sum(live for _, live in rows), rows[-1][0] if len(rows) == batch else None

        deleted = 0
        try:
            while bound["after"] is not None:
                count, bound["after"] = await self.session.transact(step)
                deleted += count
        except BackendUnavailableError as error:
            raise partly_applied(error) if deleted else error from error.__cause__
        return deleted

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whoever first sets the time of the last sweep in this interval sweeps."""

        def claim(connection: apsw.Connection) -> bool:
            bound = {"fleet": self.session.fleet, "now": now(), "interval": interval_ms}
            connection.execute(sql.CLAIM_SWEEP, bound)
            return connection.changes() == 1

        return await self.session.transact(claim)

    async def sweep(self, limit: int) -> Sweep:
        """Turn expired entries into tombstones, and let old tombstones go."""

        def step(connection: apsw.Connection) -> Sweep:
            moment = now()
            bound = {"fleet": self.session.fleet, "now": moment, "limit": limit}
            rows = connection.execute(sql.EXPIRED, bound).fetchall()
            revision = reserve(connection, self.session.fleet, len(rows))
            swept = 0
            for key, gone, change in rows:
                bound = {"fleet": self.session.fleet, "key": key}
                if gone is not None:
                    connection.execute(sql.FORGET, bound)
                    connection.execute(sql.NOTE_FORGOTTEN, {**bound, "revision": change})
                else:
                    swept += 1
                    tomb = {**bound, "now": moment, "revision": revision + swept}
                    bury(connection, tomb, EXPIRED)
            self.leases.forget(connection, moment)
            more_jobs = self.jobs.forget(connection, limit)
            return Sweep(swept, more=more_jobs or len(rows) == limit)

        return await self.session.transact(step)

    # Reading

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Look each key up."""

        def read(connection: apsw.Connection) -> list[Any]:
            bound = {"fleet": self.session.fleet, "now": now()}
            return [connection.execute(sql.FIND_VALUE, {**bound, "key": key}).get for key in keys]

        return await (
            self.session.read(read) if len(keys) == 1 else self.session.read_snapshot(read)
        )

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Look each key up."""

        def read(connection: apsw.Connection) -> list[Record | None]:
            bound = {"fleet": self.session.fleet, "now": now()}
            rows = (connection.execute(sql.FIND, {**bound, "key": key}).get for key in keys)
            return [row and Record(*row) for row in rows]

        return await self.session.read_snapshot(read)

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Read rows until the limit, or until their values fill MAX_PAGE_BYTES."""
        rows, after = await self._page(sql.COLUMNS, keys, limit, partition)
        return Page([Record(*row) for row in rows], after)

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Read keys and values until the limit, or until these fill MAX_PAGE_BYTES."""
        return PayloadPage(*await self._page("key, value", keys, limit, partition))

    async def _page(
        self, columns: str, keys: KeyRange, limit: int, partition: str | None
    ) -> tuple[list[Any], str | None]:
        """Read columns, the first two of which are key and value."""
        query = sql.page(columns, exclusive=keys.exclusive, partition=partition is not None)

        def read(connection: apsw.Connection) -> tuple[list[Any], str | None]:
            rows: list[Any] = []
            room = MAX_PAGE_BYTES
            for row in connection.execute(query, self._range(keys, limit, partition)):
                rows.append(row)
                room -= len(row[1])
                if len(rows) == limit or room <= 0:
                    return rows, row[0]
            return rows, None

        return await self.session.read(read)

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Read keys from an index and liveness from the rows."""
        query = sql.page("key", exclusive=keys.exclusive, partition=partition is not None)

        def read(connection: apsw.Connection) -> KeyPage:
            bound = self._range(keys, limit, partition)
            found = [row[0] for row in connection.execute(query, bound)]
            return KeyPage(found, found[-1] if len(found) == limit else None)

        return await self.session.read(read)

    def _range(self, keys: KeyRange, limit: int, partition: str | None) -> dict[str, Any]:
        return {
            "fleet": self.session.fleet,
            "first": keys.first,
            "before": keys.before,
            "partition": partition,
            "now": now(),
            "limit": limit,
        }

    # Looking at it

    async def stats(self) -> Stats:
        """Count each partition, up to EXACT_COUNT_LIMIT rows; estimate what is beyond."""
        return await self.session.read_snapshot(self._count)

    def _count(self, connection: apsw.Connection) -> Stats:
        bound = {"fleet": self.session.fleet, "now": now(), "limit": EXACT_COUNT_LIMIT + 1}
        partitions: dict[str, int] = {}
        total_expired, size, exact = 0, 0, True
        partition = connection.execute(sql.NEXT_PARTITION, {**bound, "after": ""}).get
        while partition is not None:
            row = connection.execute(sql.COUNT_PARTITION, {**bound, "partition": partition}).get
            count, number_of_bytes, expired = row
            if count > EXACT_COUNT_LIMIT:
                exact = False
                estimate = max(count, _rows_per_partition(connection))
                number_of_bytes = number_of_bytes * estimate // count
                expired = expired * estimate // count
                count = estimate
            if count > expired:
                partitions[partition] = count - expired
            total_expired += expired
            size += number_of_bytes
            partition = connection.execute(sql.NEXT_PARTITION, {**bound, "after": partition}).get
        page_bytes = connection.pragma("page_size")
        server = {
            "sqlite_version": apsw.sqlite_lib_version(),
            "file_bytes": connection.pragma("page_count") * page_bytes,
            "free_bytes": connection.pragma("freelist_count") * page_bytes,
            "used_memory": apsw.memory_used(),
        }
        return Stats(sum(partitions.values()), total_expired, partitions, size, exact, server)

    async def describe(self) -> dict[str, Any]:
        """Tell the SQLite version, the journal, the schema and the durability."""

        def look(connection: apsw.Connection) -> dict[str, Any]:
            versions = applied_migrations(connection)
            return {
                "server": f"SQLite {apsw.sqlite_lib_version()}",
                "location": self.session.path,
                "journal_mode": connection.pragma("journal_mode"),
                "schema_version": max(versions),
                "migrations": shown_migrations(__package__ or "", versions),
                "durability": self.capabilities.durability,
                "atomic_batches": self.capabilities.atomic_batches,
            }

        return await self.session.read(look)


def _rows_per_partition(connection: apsw.Connection) -> int:
    try:
        stat = connection.execute(sql.ROWS_PER_PARTITION).get
    except apsw.SQLError:
        return 0
    return int(stat.split()[2]) if stat else 0
