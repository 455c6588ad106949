"""The PostgreSQL backend: a batch is one statement."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import asyncpg

from lionagi_qe.errors import BackendUnavailableError, RevisionConflictError
from lionagi_qe.persistence.contract.backend import Capabilities
from lionagi_qe.persistence.contract.operations import Operation, Put, Result
from lionagi_qe.persistence.contract.records import KeyPage, Page, PayloadPage, Record, Stats, Sweep
from lionagi_qe.persistence.contract.refused import partly_applied
from lionagi_qe.persistence.postgres.bound_writes import bury_expired, may_bury, write_or_refuse
from lionagi_qe.persistence.postgres.columns import column, payloads_of
from lionagi_qe.persistence.postgres.fragments import MAX_PAGE_BYTES
from lionagi_qe.persistence.postgres.indexes import PostgresIndexes
from lionagi_qe.persistence.postgres.lease import PostgresLeases
from lionagi_qe.persistence.postgres.limits import PostgresLimits
from lionagi_qe.persistence.postgres.log import PostgresLog
from lionagi_qe.persistence.postgres.operations import (
    REFUSED,
    entry_columns,
    fence_columns,
    locking_order,
    put_columns,
    refused,
    results_of,
)
from lionagi_qe.persistence.postgres.queue import PostgresJobs
from lionagi_qe.persistence.postgres.schedules import PostgresSchedules
from lionagi_qe.persistence.postgres.schema import applied_migrations
from lionagi_qe.persistence.postgres.session import PostgresSession
from lionagi_qe.persistence.server_support.migrations import shown_migrations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from lionagi_qe.persistence.postgres import connection as link
    from lionagi_qe.persistence.values.keys import KeyRange

EXACT_COUNT_LIMIT = 100_000
# Of UTF-8, for a character.
_MOST_BYTES = 4


class PostgresBackend:
    """Entries in one table of a PostgreSQL database.

    Args:
        dsn: the URL; may be empty if ``pool`` is given.
        pool: an asyncpg pool of the caller's, used and not closed.
        schema: the database schema that holds the tables.
        pool_size: most connections that this backend opens.
        listen_dsn: the URL to listen at for wake-ups, if ``dsn`` leads to a transaction pooler.
    """

    def __init__(
        self,
        dsn: str,
        *,
        pool: link.AsyncpgPool | None,
        schema: str,
        pool_size: int,
        listen_dsn: str | None = None,
    ) -> None:
        self.session = PostgresSession(
            dsn, pool=pool, schema=schema, pool_size=pool_size, listen_dsn=listen_dsn
        )
        self.leases = PostgresLeases(self.session)
        self.jobs = PostgresJobs(self.session)
        self.schedules = PostgresSchedules(self.session)
        self.limits = PostgresLimits(self.session)
        self.log = PostgresLog(self.session, self.sweep)
        self.indexes = PostgresIndexes(self.session)

    @property
    def where(self) -> str:
        """The server, database and schema, for people; without user and password."""
        schema = self.session.sql.schema.strip('"')
        return f"{self.session.where}, schema {schema}"

    @property
    def capabilities(self) -> Capabilities:
        """PostgreSQL's promises."""
        return Capabilities(
            "postgresql",
            max_concurrent_batches=2,
            durability="as the server's synchronous_commit says",
            learns=True,
        )

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Connect, migrate under a lock, enter the fleet."""
        await self.session.open(fleet, migrate=migrate)

    async def close(self) -> None:
        """Close our own pool; a given one is its owner's."""
        await self.jobs.close()
        await self.session.close()

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Plain puts go as one upsert, all else as one call of the server's function.

        What a role may not do is refused to its caller, and not to those in the same batch.
        """
        if self.session.is_bound:
            return await write_or_refuse(self.session, self._write, operations, atomic=atomic)
        return await self._write(operations, atomic=atomic)

    async def _write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        async with self.session.connection(mutates=True) as connection:
            if _are_plain_puts(operations):
                puts = cast("Sequence[Put]", operations)
                if len(puts) == 1:
                    return [await self._put(connection, puts[0])]
                revisions = await self._put_many(connection, "put_many", puts)
                return [revisions[put.key] for put in puts]
            if not atomic and _are_plain_puts(operations, if_revision=0):
                return await self._create(connection, cast("Sequence[Put]", operations))
            return await self._apply(connection, operations, atomic=atomic)

    async def _put(self, connection: Any, put: Put) -> int:  # noqa: ANN401
        return await connection.fetchval(
            self.session.sql["put"],
            self.session.fleet,
            put.key,
            put.payload.decode(),
            put.partition,
            put.ttl_ms,
        )

    async def _create(self, connection: Any, puts: Sequence[Put]) -> list[Result]:  # noqa: ANN401
        created = await self._put_many(connection, "create_many", puts)
        if len(created) == len(puts):
            return [created[put.key] for put in puts]
        kept = [put.key for put in puts if put.key not in created]
        found = dict(
            await connection.fetch(self.session.sql["revisions"], self.session.fleet, column(kept))
        )
        return [
            created.get(put.key) or RevisionConflictError(put.key, 0, found.get(put.key))
            for put in puts
        ]

    async def _put_many(
        self,
        connection: Any,  # noqa: ANN401
        statement: str,
        puts: Sequence[Put],
    ) -> dict[str, int]:
        # Sorted, so that concurrent batches lock their rows in one order.
        order = locking_order(puts)
        ordered = [puts[at] for at in order]
        parameters = put_columns(ordered)
        if order != list(range(len(puts))):
            statement += "_placed"
            parameters.append(column([str(at + 1) for at in order]))
        stored = await connection.fetch(
            self.session.sql[statement], self.session.fleet, *parameters
        )
        return dict(stored)

    async def _apply(
        self,
        connection: Any,  # noqa: ANN401
        operations: Sequence[Operation],
        *,
        atomic: bool,
    ) -> list[Result]:
        order = locking_order(operations)
        ordered = [operations[at] for at in order]
        columns = entry_columns(ordered)
        statement = self.session.sql["apply"]
        if any(operation.fence is not None for operation in ordered):
            statement = self.session.sql["apply_fenced"]
            columns += fence_columns(ordered)
        try:
            rows = await connection.fetch(statement, self.session.fleet, *columns, atomic)
        except asyncpg.PostgresError as error:
            if getattr(error, "sqlstate", None) != REFUSED:
                raise
            raise refused(ordered, error) from None
        return results_of(operations, order, rows)

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Bury in keyset order what was stored up to the newest revision at the start."""
        deleted = 0
        try:
            async for count in self._clear(partition, batch):
                deleted += count
        except BackendUnavailableError as error:
            raise partly_applied(error) if deleted else error from error.__cause__
        return deleted

    async def _clear(self, partition: str, batch: int) -> AsyncGenerator[int]:
        async with self.session.connection() as connection:
            newest = await connection.fetchval(self.session.sql["newest"])
        after, missed, more = "", False, True
        while more:
            parameters = (self.session.fleet, partition, after, newest, batch)
            async with (
                self.session.connection(mutates=True) as connection,
                connection.transaction() if missed else nullcontext(),
            ):
                if missed:
                    await connection.execute(self.session.sql["lock_doomed"], *parameters)
                live, seen, buried, last = await connection.fetchrow(
                    self.session.sql["clear"], *parameters
                )
            yield live
            # What a touch changed while the statement waited for its row, it locked but didn't see.
            missed = buried < seen
            after = after if missed else last
            more = missed or seen == batch

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whoever first sets the time of the last sweep in this interval sweeps.

        A role that is bound to a part of the fleet sweeps that, whatever others do.
        """
        if self.session.is_bound:
            return await may_bury(self.session)
        async with self.session.connection(mutates=True) as connection:
            claimed = await connection.fetchval(
                self.session.sql["claim_sweep"], self.session.fleet, interval_ms
            )
        return bool(claimed)

    async def sweep(self, limit: int) -> Sweep:
        """Turn expired entries into tombstones; let old ones go, and old parts of the log.

        A role that reaches a part of the fleet does the first alone, in that part.
        """
        if self.session.is_bound:
            return await bury_expired(self.session, limit)
        async with self.session.connection(mutates=True) as connection:
            expired, seen = await connection.fetchrow(
                self.session.sql["sweep"], self.session.fleet, limit
            )
        if seen == limit:
            return Sweep(expired, more=True)
        await self.leases.forget()
        more = await self.jobs.forget(limit)
        return Sweep(expired, more=await self.log.prune(limit) or more)

    # Reading

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Look the keys up in one statement."""
        async with self.session.connection() as connection:
            if len(keys) == 1:
                return [
                    await connection.fetchval(
                        self.session.sql["payload"], self.session.fleet, keys[0]
                    )
                ]
            try:
                return payloads_of(
                    await connection.fetchval(
                        self.session.sql["payloads"], self.session.fleet, column(keys)
                    )
                )
            except asyncpg.ProgramLimitExceededError:
                # Together they are more than one text can hold, 1 GiB.
                rows = await connection.fetch(
                    self.session.sql["payload_rows"], self.session.fleet, column(keys)
                )
        found = dict(rows)
        return [found.get(key) for key in keys]

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Look the keys up in one statement."""
        async with self.session.connection() as connection:
            rows = await connection.fetch(
                self.session.sql["records"], self.session.fleet, column(keys)
            )
        found = {row[0]: Record(*row) for row in rows}
        return [found.get(key) for key in keys]

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Read rows of an index range until the limit or MAX_PAGE_BYTES."""
        query = self.session.sql.page(values=True, partition=partition is not None)
        rows = await self._page(query, keys, limit, partition)
        return Page([Record(*row) for row in rows], await self._end(keys, rows, limit, partition))

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Read keys and values of an index range until the limit or MAX_PAGE_BYTES."""
        query = self.session.sql.payloads(partition=partition is not None)
        rows = await self._page(query, keys, limit, partition)
        return PayloadPage(rows, await self._end(keys, rows, limit, partition))

    async def _end(
        self, keys: KeyRange, rows: list[Any], limit: int, partition: str | None
    ) -> str | None:
        """Return after which key the next page begins; None if nothing is left.

        A short page may have ended because of its size: then more keys follow the last.
        """
        if len(rows) == limit:
            return rows[-1][0]
        if not rows or sum(len(row[1]) for row in rows) < MAX_PAGE_BYTES // _MOST_BYTES:
            return None
        last = rows[-1][0]
        return last if (await self.page_keys(keys.after(last), 1, partition)).keys else None

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Read keys of an index range."""
        query = self.session.sql.page(values=False, partition=partition is not None)
        found = [row[0] for row in await self._page(query, keys, limit, partition)]
        return KeyPage(found, found[-1] if len(found) == limit else None)

    async def _page(
        self, query: str, keys: KeyRange, limit: int, partition: str | None
    ) -> list[Any]:
        # No key holds a control character: this one's successor is the first that may follow.
        first = f"{keys.first}\x01" if keys.exclusive else keys.first
        bound: list[Any] = [self.session.fleet, first, keys.before, limit]
        if partition is not None:
            bound.append(partition)
        async with self.session.connection() as connection:
            return await connection.fetch(query, *bound)

    # Looking at it

    async def stats(self) -> Stats:
        """Count each partition up to EXACT_COUNT_LIMIT rows; the planner estimates the rest."""
        partitions: dict[str, int] = {}
        total_expired, size, exact = 0, 0, True
        async with self.session.connection() as connection:
            rows = await connection.fetch(
                self.session.sql["count"], self.session.fleet, EXACT_COUNT_LIMIT + 1
            )
            for partition, counted, expired, number_of_bytes in rows:
                count, overdue, partition_bytes = counted, expired, int(number_of_bytes or 0)
                if counted > EXACT_COUNT_LIMIT:
                    exact = False
                    count = max(counted, await self._estimate(connection, partition))
                    overdue = expired * count // counted
                    partition_bytes = partition_bytes * count // counted
                if count > overdue:
                    partitions[partition] = count - overdue
                total_expired += overdue
                size += partition_bytes
            server = dict(await connection.fetchrow(self.session.sql["server"]))
        total, pool = sum(partitions.values()), self.session.pool_figures
        return Stats(total, total_expired, partitions, size, exact, server, pool)

    async def _estimate(self, connection: Any, partition: str) -> int:  # noqa: ANN401
        plan = await connection.fetchval(
            self.session.sql["estimate"], self.session.fleet, partition
        )
        return int(json.loads(plan)[0]["Plan"]["Plan Rows"])

    async def describe(self) -> dict[str, Any]:
        """Tell the version, the schema and the settings that durability hangs on."""
        async with self.session.connection() as connection:
            server = await connection.fetchrow(self.session.sql["server"])
            versions = await applied_migrations(connection, self.session.sql)
        safe = server["fsync"] == "on" and server["synchronous_commit"] != "off"
        return {
            "server": f"PostgreSQL {server['version']}",
            "location": self.session.where,
            **_role(server),
            "schema": self.session.sql.schema.strip('"'),
            "schema_version": max(versions),
            "migrations": shown_migrations(__package__ or "", versions),
            "transaction_pooler": self.session.is_pooled,
            "fsync": server["fsync"],
            "synchronous_commit": server["synchronous_commit"],
            "durability": (
                "every acknowledged write survives a crash"
                if safe
                else "a crash may take the last acknowledged writes (see fsync, synchronous_commit)"
            ),
            "atomic_batches": self.capabilities.atomic_batches,
        }


def _role(server: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of the driver's
    """Tell whether it is a standby, and then the age of the last change that reached it."""
    if server["role"] == "primary":
        return {"role": "primary"}
    seconds = server["last_replayed_seconds"]
    return {"role": "standby", "last_replayed_seconds": seconds and round(seconds, 1)}


def _are_plain_puts(operations: Sequence[Operation], if_revision: int | None = None) -> bool:
    # What follows key, payload, partition and ttl.
    conditions = (if_revision, False, None)
    for operation in operations:
        if type(operation) is not Put or operation[4:] != conditions:
            return False
    return len(operations) == 1 or len({put.key for put in operations}) == len(operations)
