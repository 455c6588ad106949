"""Bringing the schema up: migrations under a lock, and the fleet's number."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.server_support.migrations import (
    load_migrations,
    missing_migrations,
    not_there,
)

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.statements import Statements

# Any number that others are unlikely to take: "aqe" and a version.
_LOCK = 0x617165_0001
_MOST_FIRST_FLEETS = 2**30
_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


async def enter(
    connection: Any,  # noqa: ANN401
    fleet: str,
    statements: Statements,
    *,
    migrate: bool,
    where: str,
) -> int:
    """Apply what is missing, one process at a time, and return the fleet's number."""
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        msg = f"the database's encoding is {encoding}; create one with ENCODING 'UTF8'"
        raise ConfigurationError(msg)
    known = load_migrations(__package__ or "")
    missing = missing_migrations(
        known, await applied_migrations(connection, statements), migrate=migrate, where=where
    )
    if missing:
        await _migrate(connection, statements, where)
    number = await connection.fetchval(
        statements.fill("SELECT id FROM {schema}.fleets WHERE name = $1"), fleet
    )
    if number is None and not migrate:
        raise not_there(where, f"fleet {fleet!r}")
    while number is None:
        number = await connection.fetchval(
            statements.fill(
                "INSERT INTO {schema}.fleets (name) VALUES ($1) "
                "ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id"
            ),
            fleet,
        )
    return int(number)


async def _migrate(connection: Any, statements: Statements, where: str) -> None:  # noqa: ANN401
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute(statements.fill("CREATE SCHEMA IF NOT EXISTS {schema}"))
        await connection.execute(statements.fill(_TABLE))
        # Somebody else may have been here while we waited for the lock.
        applied = await applied_migrations(connection, statements)
        for migration in missing_migrations(
            load_migrations(__package__ or ""), applied, migrate=True, where=where
        ):
            await connection.execute(statements.fill(migration.sql))
            await connection.execute(
                statements.fill(
                    "INSERT INTO {schema}.schema_migrations (version, name, checksum) "
                    "VALUES ($1, $2, $3)"
                ),
                migration.version,
                migration.name,
                migration.checksum,
            )
        if not applied:
            # Who still has a fleet's number of a schema that was dropped meets nobody's here.
            first = 1 + secrets.randbelow(_MOST_FIRST_FLEETS)
            await connection.execute(
                statements.fill(f"ALTER TABLE {{schema}}.fleets ALTER id RESTART WITH {first}")
            )


async def applied_migrations(connection: Any, statements: Statements) -> dict[int, str]:  # noqa: ANN401
    """Return {version: checksum} of the migrations that the schema has."""
    table = statements.fill("{schema}.schema_migrations")
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return {}
    rows = await connection.fetch(f"SELECT version, checksum FROM {table}")  # noqa: S608 - quoted
    return {row["version"]: row["checksum"] for row in rows}


def schema_sql(statements: Statements) -> str:
    """Return the whole schema as one script, for those who create it themselves."""
    parts = [
        statements.fill("CREATE SCHEMA IF NOT EXISTS {schema};"),
        statements.fill(_TABLE).strip() + ";",
    ]
    for migration in load_migrations(__package__ or ""):
        parts.append(statements.fill(migration.sql).strip())
        parts.append(
            statements.fill("INSERT INTO {schema}.schema_migrations (version, name, checksum)\n")
            + f"VALUES ({migration.version}, '{migration.name}', '{migration.checksum}');"
        )
    return "\n\n".join(parts) + "\n"
