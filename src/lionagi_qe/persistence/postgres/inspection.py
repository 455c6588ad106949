"""What a PostgreSQL server tells of its health, and what a compatible one can't do that we need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from lionagi_qe.persistence.postgres import connection as link
from lionagi_qe.persistence.postgres.server_errors import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence.postgres.backend import PostgresBackend

_SECONDS = 10.0
_TAKE_LOCK = "SELECT pg_advisory_xact_lock(7305817442046117)"
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(7305817442046117)"
# Names by which those who speak PostgreSQL's protocol tell themselves apart in version().
_COMPATIBLE = {"cockroachdb": "CockroachDB", "-yb-": "YugabyteDB", "redshift": "Redshift"}
# What the memory needs -> statements that do it, in a transaction that is rolled back.
_NEEDED = {
    "functions in PL/pgSQL": ("DO $$ BEGIN PERFORM 1; END $$",),
    "LISTEN and NOTIFY": ("LISTEN aqe_doctor", "NOTIFY aqe_doctor, 'x'"),
    "SKIP LOCKED": (
        "CREATE TEMPORARY TABLE aqe_doctor (id integer PRIMARY KEY) ON COMMIT DROP",
        "SELECT id FROM aqe_doctor FOR UPDATE SKIP LOCKED",
    ),
    "identity columns": (
        "CREATE TEMPORARY TABLE aqe_doctor (id bigint GENERATED ALWAYS AS IDENTITY, n integer)",
        "INSERT INTO aqe_doctor (n) VALUES (1)",
    ),
    "transaction ids and snapshots": ("SELECT pg_current_xact_id(), pg_current_snapshot()",),
}
# YugabyteDB gives sequences a cache of 100 or more, unless a flag of the server says otherwise.
_MAKE_SEQUENCE = "CREATE TEMPORARY SEQUENCE aqe_doctor CACHE 1"
_SEQUENCE_CACHE = "SELECT seqcache FROM pg_sequence WHERE seqrelid = 'aqe_doctor'::regclass"
# Whose values reach readers in another order than they were drawn in, or are drawn in advance.
_CACHED = """
SELECT seqcache FROM pg_sequence
WHERE seqrelid = to_regclass($1)
"""
_WHO = """
SELECT version(), pg_is_in_recovery(),
    EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS citus
"""
_HEALTH = """
SELECT current_setting('server_version_num')::int AS version_num,
    current_setting('autovacuum') AS autovacuum,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('fsync') AS fsync,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int AS usable_connections,
    (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database) AS connections,
    (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend')
        AS oldest_transaction_seconds,
    (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
        FROM pg_stat_user_tables WHERE schemaname = $1) AS bytes,
    (SELECT count(*)::int FROM pg_replication_slots WHERE NOT active) AS inactive_slots
"""
_TABLES = """
SELECT relname AS table, n_live_tup AS live, n_dead_tup AS dead,
    pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = $1 ORDER BY n_dead_tup DESC
"""
_STANDBYS = """
SELECT state, sync_state, extract(epoch FROM replay_lag)::float8 AS replay_lag_seconds
FROM pg_stat_replication
"""


async def inspect(backend: PostgresBackend) -> dict[str, Any]:
    """Return figures of the server and of the memory's tables. Four round trips.

    What a role may not see (``pg_monitor`` lets it) is None or left out.
    """
    session = backend.session
    schema = session.sql.schema.strip('"')
    async with session.connection() as connection:
        health = dict(await connection.fetchrow(_HEALTH, schema))
        tables = [dict(row) for row in await connection.fetch(_TABLES, schema)]
        standbys = [dict(row) for row in await connection.fetch(_STANDBYS)]
        cached = await connection.fetchval(_CACHED, f"{session.sql.schema}.revisions")
    return {
        **health,
        "tables": tables,
        "standbys": standbys,
        "revisions_cached": cached,
        "transaction_pooler": session.is_pooled,
    }


async def probe(backend: PostgresBackend) -> dict[str, Any]:
    """Return who answers, and of what we need what it can't do, each with the reason.

    On two connections of its own, before the memory is opened; nothing is left behind. A standby
    is not asked: it refuses what changes anything.

    Raises:
        BackendUnavailableError, ConfigurationError: nobody answers, or not to us.

    """
    where = backend.session.where
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await link.connect(backend.session.hosts)
            other = await _connected_beside(connection, backend)
    except Exception as error:
        raise explain(error, where, sent=False) from error
    try:
        async with asyncio.timeout(_SECONDS):
            return await _asked(connection, other)
    except Exception as error:
        raise explain(error, where, sent=False) from error
    finally:
        connection.terminate()
        other.terminate()


async def _connected_beside(
    connection: link.Connection, backend: PostgresBackend
) -> link.Connection:
    try:
        return await link.connect(backend.session.hosts)
    except BaseException:
        connection.terminate()
        raise


async def _asked(connection: link.Connection, other: link.Connection) -> dict[str, Any]:
    text, standby, citus = await connection.fetchrow(_WHO)
    found = next((name for mark, name in _COMPATIBLE.items() if mark in text.lower()), None)
    lacking: dict[str, str] = {}
    for name, statements in () if standby else _NEEDED.items():
        reason = await _refusal(connection, statements)
        if reason is not None:
            lacking[name] = reason
    if not standby:
        judged = {
            "advisory locks": await _unlocked(connection, other),
            "sequences in order": await _drawn_ahead(connection),
        }
        lacking |= {name: reason for name, reason in judged.items() if reason is not None}
    return {"system": "Citus" if citus else found or "PostgreSQL", "lacking": lacking}


async def _refusal(connection: link.Connection, statements: tuple[str, ...]) -> str | None:
    """Return why the server refuses to do that; None if it does it."""

    async def execute() -> None:
        for statement in statements:
            await connection.execute(statement)

    return await _tried(connection, execute)


async def _tried(
    connection: link.Connection, probe: Callable[[], Awaitable[str | None]]
) -> str | None:
    """Return what is wrong by a probe, or by the error that it ends with; take back what it did."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        return await probe()
    except asyncpg.InsufficientPrivilegeError:
        # The role may not; whether the server can is not known by that.
        return None
    except asyncpg.PostgresError as error:
        return str(error).partition("\n")[0]
    finally:
        await transaction.rollback()


async def _unlocked(connection: link.Connection, other: link.Connection) -> str | None:
    """Return why an advisory lock keeps nobody out; None if it does.

    Some servers have the functions and no locks behind them.
    """
    holding = connection.transaction()
    await holding.start()
    try:
        async with other.transaction():
            await connection.execute(_TAKE_LOCK)
            if await other.fetchval(_TRY_LOCK):
                return "two connections got the same lock"
    except asyncpg.PostgresError as error:
        return str(error).partition("\n")[0]
    finally:
        await holding.rollback()
    return None


async def _drawn_ahead(connection: link.Connection) -> str | None:
    """Return how a sequence hands out numbers in advance that was told not to; None if it heeds."""

    async def make() -> str | None:
        await connection.execute(_MAKE_SEQUENCE)
        cached = await connection.fetchval(_SEQUENCE_CACHE)
        return f"one with CACHE 1 was made with CACHE {cached}" if cached and cached > 1 else None

    return await _tried(connection, make)
