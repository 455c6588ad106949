"""Opening a SQLite file: whose it is, its schema, the fleet's number, the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.server_support.migrations import (
    load_migrations,
    missing_migrations,
    not_there,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from lionagi_qe.persistence.server_support.migrations import Migration

T = TypeVar("T")
APPLICATION_ID = 0x61716531


def now() -> int:
    """Return the host's clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def in_transaction(
    connection: apsw.Connection, job: Callable[[apsw.Connection], T], kind: str = "IMMEDIATE"
) -> T:
    """Do ``job`` in a transaction that holds the write lock at once; undo it if it raises.

    ``kind`` "DEFERRED" takes no lock: all that is read is of one state.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        result = job(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def enter(connection: apsw.Connection, fleet: str, path: str, *, migrate: bool) -> int:
    """Bring the schema up under the write lock, and return the fleet's number.

    Where all of it is there, nothing is locked or written.
    """

    def look(connection: apsw.Connection) -> tuple[list[Migration], int | None]:
        check_owner(connection, path)
        known = load_migrations(__package__ or "")
        applied = applied_migrations(connection)
        missing = missing_migrations(known, applied, migrate=migrate, where=path)
        if missing:
            return missing, None
        return [], connection.execute("SELECT id FROM fleets WHERE name = ?", (fleet,)).get

    def make(connection: apsw.Connection) -> int:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, "
            "name TEXT NOT NULL, checksum TEXT NOT NULL, applied_ms INTEGER NOT NULL) STRICT"
        )
        missing, _ = look(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for migration in missing:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
                (migration.version, migration.name, migration.checksum, now()),
            )
        connection.execute("INSERT OR IGNORE INTO fleets (name) VALUES (?)", (fleet,))
        return int(connection.execute("SELECT id FROM fleets WHERE name = ?", (fleet,)).get)

    number = in_transaction(connection, look, kind="DEFERRED")[1]
    if number is not None:
        return number
    if not migrate:
        raise not_there(path, f"fleet {fleet!r}")
    return in_transaction(connection, make)


def check_owner(connection: apsw.Connection, path: str) -> None:
    """Refuse a database that another program made."""
    # Before the id: who sets both meanwhile, in one transaction, is not taken for a stranger.
    tables = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name NOT IN ('schema_migrations') "
        "AND name NOT LIKE 'sqlite_%'"
    ).get
    if tables and connection.pragma("application_id") != APPLICATION_ID:
        msg = f"{path}: is another program's SQLite database; choose a file of its own"
        raise ConfigurationError(msg)


def applied_migrations(connection: apsw.Connection) -> dict[int, str]:
    """Return {version: checksum} of the migrations that the file has."""
    if not connection.table_exists("main", "schema_migrations"):
        return {}
    rows: Any = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
    return dict(rows)
