"""The SQLite backend: one writer thread, one reader thread, write-ahead log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import apsw

from lionagi_qe.errors import (
    AqeError,
    ConfigurationError,
    InvalidValueError,
    RevisionConflictError,
)
from lionagi_qe.persistence.backend import (
    Add,
    Capabilities,
    Delete,
    KeyPage,
    Operation,
    Page,
    Put,
    Record,
    Result,
    Stats,
    Sweep,
)
from lionagi_qe.persistence.codec import decode, encode
from lionagi_qe.persistence.sqlite import statements as sql
from lionagi_qe.persistence.sqlite.schema import (
    applied_migrations,
    enter,
    in_transaction,
    make_directory,
    now,
)
from lionagi_qe.persistence.sqlite.thread import ConnectionThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.persistence.keys import KeyRange

T = TypeVar("T")
MAX_PAGE_BYTES = 16 * 1024 * 1024
EXACT_COUNT_LIMIT = 100_000
MEMORY = ":memory:"
_DELETED, _EXPIRED = 1, 2
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


class SqliteBackend:
    """Entries in one SQLite file, safe for many processes, or in memory for this one alone.

    Args:
        path: the file, or ":memory:" for a private memory that ends with the process.
        synchronous: "full" keeps every acknowledged write through a power cut; "normal" may lose
            the last ones then (never through a crash of the process) and is faster.
        busy_seconds: how long a call waits for other processes' locks.
    """

    def __init__(self, path: str, *, synchronous: str = "full", busy_seconds: float = 9.0) -> None:
        if synchronous not in {"full", "normal"}:
            msg = f"synchronous={synchronous!r}: SQLite memories take 'full' or 'normal'"
            raise ConfigurationError(msg)
        self._path = path
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._private = path == MEMORY
        self._writer: ConnectionThread | None = None
        self._reader: ConnectionThread | None = None
        self._fleet = 0

    @property
    def capabilities(self) -> Capabilities:
        """SQLite's promises."""
        if self._private:
            durability = "none: the memory ends with the process"
        elif self._synchronous == "full":
            durability = "every acknowledged write survives a power cut (synchronous=FULL)"
        else:
            durability = "survives a crash of the process; a power cut may take the last writes"
        return Capabilities("sqlite", max_flights=1, durability=durability)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Create or check the file and its schema, and enter the fleet."""
        if not self._private:
            make_directory(self._path)
        self._writer = ConnectionThread(self._path, self._prepare, self._busy_seconds)
        await self._writer.start()
        self._fleet = await self._writer.run(
            lambda connection: enter(connection, fleet, self._path, migrate=migrate)
        )
        if self._private:
            self._reader = self._writer
        else:
            self._reader = ConnectionThread(self._path, self._prepare, self._busy_seconds)
            await self._reader.start()

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if not self._private:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    async def close(self) -> None:
        """Close both connections and end their threads."""
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if reader is not None and reader is not writer:
            await reader.stop()
        if writer is not None:
            await writer.stop()

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply all operations in one transaction."""
        return await self._write(lambda connection: self._apply(connection, operations, atomic))

    async def _write(self, job: Callable[[apsw.Connection], T]) -> T:
        writer = cast("ConnectionThread", self._writer)
        return await writer.run(lambda connection: in_transaction(connection, job))

    async def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        return await cast("ConnectionThread", self._reader).run(job)

    async def _read_snapshot(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do a job of several statements on one state of the file."""
        return await self._read(lambda connection: in_transaction(connection, job, kind="DEFERRED"))

    def _apply(
        self,
        connection: apsw.Connection,
        operations: Sequence[Operation],
        atomic: bool,  # noqa: FBT001
    ) -> list[Result]:
        moment = now()
        revision = self._reserve(connection, len(operations))
        results: list[Result] = []
        for operation in operations:
            revision += 1
            try:
                results.append(self._apply_one(connection, operation, moment, revision))
            except AqeError as error:
                if atomic:
                    raise
                results.append(error)
        return results

    def _reserve(self, connection: apsw.Connection, count: int) -> int:
        """Take ``count`` revisions; return the one before the first."""
        newest = connection.execute(sql.NEXT_REVISIONS, {"fleet": self._fleet, "count": count}).get
        return int(newest) - count

    def _apply_one(
        self, connection: apsw.Connection, operation: Operation, moment: int, revision: int
    ) -> Result:
        bound = {"fleet": self._fleet, "key": operation.key, "now": moment, "revision": revision}
        if isinstance(operation, Put):
            return self._put(connection, operation, bound)
        if isinstance(operation, Add):
            return self._add(connection, operation, bound)
        if isinstance(operation, Delete):
            found = connection.execute(sql.FIND_REVISION, bound).get
            if operation.if_revision not in {None, found}:
                raise RevisionConflictError(operation.key, operation.if_revision or 0, found)
            if found is not None:
                _bury(connection, bound, _DELETED)
            return found is not None
        connection.execute(sql.TOUCH, {**bound, "ttl": operation.ttl_ms})
        return connection.changes() == 1

    def _put(self, connection: apsw.Connection, put: Put, bound: dict[str, Any]) -> int:
        bound["value"] = put.payload
        found = None
        if put.if_revision is not None or put.keep:
            found = connection.execute(sql.FIND_REVISION, bound).get
            _expect(put.key, put.if_revision, found)
        if put.keep and found is not None:
            connection.execute(sql.REPLACE_VALUE, bound)
        else:
            bound["partition"] = put.partition
            bound["ttl"] = put.ttl_ms
            connection.execute(sql.PUT, bound)
        return int(bound["revision"])

    def _add(self, connection: apsw.Connection, add: Add, bound: dict[str, Any]) -> int | float:
        payload = connection.execute(sql.FIND_VALUE, bound).get
        total = add_to(add.key, payload, add.amount)
        self._put(connection, Put(add.key, encode(total), keep=True), bound)
        return total

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete in keyset order what was stored up to the revision at the start."""

        def look(connection: apsw.Connection) -> Any:  # noqa: ANN401 - what SQLite holds
            return connection.execute(sql.CURRENT_REVISION, {"fleet": self._fleet}).get

        newest = await self._read(look)
        bound = {
            "fleet": self._fleet,
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
            revision = self._reserve(connection, len(rows))
            for at, (key, live) in enumerate(rows, 1):
                tomb = {"fleet": self._fleet, "key": key, "now": moment, "revision": revision + at}
                _bury(connection, tomb, _DELETED if live else _EXPIRED)
            return sum(live for _, live in rows), rows[-1][0] if len(rows) == batch else None

        deleted = 0
        while bound["after"] is not None:
            count, bound["after"] = await self._write(step)
            deleted += count
        return deleted

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whoever first sets the time of the last sweep in this interval sweeps."""

        def claim(connection: apsw.Connection) -> bool:
            bound = {"fleet": self._fleet, "now": now(), "interval": interval_ms}
            connection.execute(sql.CLAIM_SWEEP, bound)
            return connection.changes() == 1

        return await self._write(claim)

    async def sweep(self, limit: int) -> Sweep:
        """Turn expired entries into tombstones, and let old tombstones go."""

        def step(connection: apsw.Connection) -> Sweep:
            moment = now()
            bound = {"fleet": self._fleet, "now": moment, "limit": limit}
            rows = connection.execute(sql.EXPIRED, bound).fetchall()
            revision = self._reserve(connection, len(rows))
            swept = 0
            for key, gone in rows:
                bound = {"fleet": self._fleet, "key": key}
                if gone is not None:
                    connection.execute(sql.FORGET, bound)
                else:
                    swept += 1
                    _bury(
                        connection, {**bound, "now": moment, "revision": revision + swept}, _EXPIRED
                    )
            return Sweep(swept, more=len(rows) == limit)

        return await self._write(step)

    # Reading

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Look each key up."""

        def read(connection: apsw.Connection) -> list[Any]:
            bound = {"fleet": self._fleet, "now": now()}
            return [connection.execute(sql.FIND_VALUE, {**bound, "key": key}).get for key in keys]

        return await (self._read(read) if len(keys) == 1 else self._read_snapshot(read))

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Look each key up."""

        def read(connection: apsw.Connection) -> list[Record | None]:
            bound = {"fleet": self._fleet, "now": now()}
            rows = (connection.execute(sql.FIND, {**bound, "key": key}).get for key in keys)
            return [row and Record(*row) for row in rows]

        return await self._read_snapshot(read)

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Read rows until the limit, or until their values fill MAX_PAGE_BYTES."""
        query = sql.page(sql.COLUMNS, exclusive=keys.exclusive, partition=partition is not None)

        def read(connection: apsw.Connection) -> Page:
            records: list[Record] = []
            room = MAX_PAGE_BYTES
            for row in connection.execute(query, self._range(keys, limit, partition)):
                records.append(Record(*row))
                room -= len(row[1])
                if len(records) == limit or room <= 0:
                    return Page(records, records[-1].key)
            return Page(records, None)

        return await self._read(read)

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Read keys from an index and liveness from the rows."""
        query = sql.page("key", exclusive=keys.exclusive, partition=partition is not None)

        def read(connection: apsw.Connection) -> KeyPage:
            bound = self._range(keys, limit, partition)
            found = [row[0] for row in connection.execute(query, bound)]
            return KeyPage(found, found[-1] if len(found) == limit else None)

        return await self._read(read)

    def _range(self, keys: KeyRange, limit: int, partition: str | None) -> dict[str, Any]:
        return {
            "fleet": self._fleet,
            "first": keys.first,
            "before": keys.before,
            "partition": partition,
            "now": now(),
            "limit": limit,
        }

    # Looking at it

    async def stats(self) -> Stats:
        """Count each partition, up to EXACT_COUNT_LIMIT rows; estimate what is beyond."""
        return await self._read_snapshot(self._count)

    def _count(self, connection: apsw.Connection) -> Stats:
        bound = {"fleet": self._fleet, "now": now(), "limit": EXACT_COUNT_LIMIT + 1}
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
        pages = connection.pragma("page_count") * connection.pragma("page_size")
        server = {"sqlite_version": apsw.sqlite_lib_version(), "file_bytes": pages}
        return Stats(sum(partitions.values()), total_expired, partitions, size, exact, server)

    async def describe(self) -> dict[str, Any]:
        """Tell the SQLite version, the journal, the schema and the durability."""

        def look(connection: apsw.Connection) -> dict[str, Any]:
            return {
                "server": f"SQLite {apsw.sqlite_lib_version()}",
                "location": self._path,
                "journal_mode": connection.pragma("journal_mode"),
                "schema_version": max(applied_migrations(connection), default=0),
                "durability": self.capabilities.durability,
                "atomic_batches": self.capabilities.atomic_batches,
            }

        return await self._read(look)


def add_to(key: str, payload: bytes | None, amount: float) -> int | float:
    """Return stored number plus ``amount``; integers stay exact and within 64 bits."""
    value = 0 if payload is None else decode(payload)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{key!r}: holds {type(value).__name__}, not a number; increment changed nothing"
        raise InvalidValueError(msg)
    total = value + amount
    if isinstance(total, int) and not (
        value <= _MAX_INTEGER and _MIN_INTEGER <= total <= _MAX_INTEGER
    ):
        msg = f"{key!r}: the sum does not fit 64 bits; increment changed nothing"
        raise InvalidValueError(msg)
    if isinstance(total, float) and total - total != 0:
        msg = f"{key!r}: the sum is beyond the range of a float; increment changed nothing"
        raise InvalidValueError(msg)
    return total


def _expect(key: str, expected: int | None, found: int | None) -> None:
    if expected is not None and (found or 0) != expected:
        raise RevisionConflictError(key, expected, found)


def _bury(connection: apsw.Connection, bound: dict[str, Any], gone: int) -> None:
    connection.execute(sql.BURY, {**bound, "gone": gone, "keep": sql.TOMBSTONE_MS})


def _rows_per_partition(connection: apsw.Connection) -> int:
    try:
        stat = connection.execute(sql.ROWS_PER_PARTITION).get
    except apsw.SQLError:
        return 0
    return int(stat.split()[2]) if stat else 0
