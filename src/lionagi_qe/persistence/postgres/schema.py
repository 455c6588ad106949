"""Bringing the schema up: migrations under a lock, and the fleet's number."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from lionagi_qe.errors import (
    AccessDeniedError,
    ConfigurationError,
    SchemaError,
    SchemaMissingError,
)
from lionagi_qe.persistence.server_support.migrations import (
    load_migrations,
    missing_migrations,
    not_there,
)
from lionagi_qe.persistence.server_support.server_versions import refuse_older

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.statements import Statements
    from lionagi_qe.persistence.server_support.migrations import Migration

# Any number that others are unlikely to take: "aqe" and a version.
_LOCK = 0x617165_0001
_MOST_FIRST_FLEETS = 2**30
# {version: checksum} of the migrations that 0001 replaced before the first release. What they made
# is what 0001 makes; only the record of them differs, and is replaced when the schema is opened.
_MERGED = {
    1: "2256eca7e178df1eb77d08ea181dc37c47b2fdfdd824ddca46fbff303f5fb18e",
    2: "75666f55eef28c58e27c489aa0af3d73e656e914dcd3a671130758b5455b8680",
    3: "4fc5b35e742aef752744cd415d1f3398da563edb25947a49bcc122b4e3d3f970",
    4: "fd991b527e3cdec7e2b18758f8e1d263e75b9cb4103159654d7720191abf5f6b",
    5: "e566f7c8c85c856633cbbe0372b71ea2e99db25733ec76d5784c33333ee3acb8",
    6: "01cbe54bb0f9331374f069e374444eade11a9001655e04091aee7230e345f220",
    7: "8ad38f4bc062bee00b6c746678cb5d1b6739ea9c038c1f9b695a305a7930fffe",
    8: "933aeb0fa7e57302b3eb21effe073787ca53921237f540eac9cc9f50b91f332c",
}
# Whether policies bind this role, and whether to a part: then it may not read the log of changes.
_WHO = """
SELECT current_setting('server_version'), current_setting('server_encoding'), current_user,
    coalesce(row_security_active(to_regclass($1)), false),
    coalesce(row_security_active(to_regclass($2))
        AND NOT has_table_privilege(to_regclass($2), 'SELECT'), false)
"""
_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Place(NamedTuple):
    """Where a fleet lies: its number; ``bound``: the server lets us reach a part of it only."""

    fleet: int
    bound: bool


async def enter(
    connection: Any,  # noqa: ANN401
    fleet: str,
    statements: Statements,
    *,
    migrate: bool,
    where: str,
) -> Place:
    """Apply what is missing, one process at a time, and return the fleet's number.

    A role that is bound by grants makes and changes nothing, whatever ``migrate`` says.
    """
    version, encoding, role, protected, bound = await connection.fetchrow(
        _WHO, statements.fill("{schema}.fleets"), statements.fill("{schema}.changes")
    )
    refuse_older("PostgreSQL", version, where)
    if encoding != "UTF8":
        msg = f"the database's encoding is {encoding}; create one with ENCODING 'UTF8'"
        raise ConfigurationError(msg)
    migrate = migrate and not bound
    recorded = await _recorded_migrations(connection, statements)
    known = load_migrations(__package__ or "")
    try:
        missing = missing_migrations(known, _merged(recorded, where), migrate=migrate, where=where)
    except SchemaMissingError as error:
        if bound:
            error.add_note(
                f"role {role!r} is bound by grants and can't do that: have the owner of the tables "
                "do it, then grant again"
            )
        raise
    if missing or (recorded == _MERGED and migrate):
        await _migrate(connection, statements, where)
    number = await connection.fetchval(
        statements.fill("SELECT id FROM {schema}.fleets WHERE name = $1"), fleet
    )
    if number is None and protected:
        msg = (
            f"{where}: role {role!r} has no grant for fleet {fleet!r}; the owner of the tables can "
            "give one: aqe memory grant"
        )
        raise AccessDeniedError(msg)
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
    return Place(int(number), bound)


async def _migrate(connection: Any, statements: Statements, where: str) -> None:  # noqa: ANN401
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute(statements.fill("CREATE SCHEMA IF NOT EXISTS {schema}"))
        await connection.execute(statements.fill(_TABLE))
        # Somebody else may have been here while we waited for the lock.
        recorded = await _recorded_migrations(connection, statements)
        known = load_migrations(__package__ or "")
        if recorded == _MERGED:
            await connection.execute(statements.fill("DELETE FROM {schema}.schema_migrations"))
            await _record(connection, statements, known[0])
        for migration in missing_migrations(
            known, _merged(recorded, where), migrate=True, where=where
        ):
            await connection.execute(statements.fill(migration.sql))
            await _record(connection, statements, migration)
        if not recorded:
            # Who still has a fleet's number of a schema that was dropped meets nobody's here.
            first = 1 + secrets.randbelow(_MOST_FIRST_FLEETS)
            await connection.execute(
                statements.fill(f"ALTER TABLE {{schema}}.fleets ALTER id RESTART WITH {first}")
            )


async def _record(connection: Any, statements: Statements, migration: Migration) -> None:  # noqa: ANN401
    await connection.execute(
        statements.fill(
            "INSERT INTO {schema}.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"
        ),
        migration.version,
        migration.name,
        migration.checksum,
    )


async def applied_migrations(connection: Any, statements: Statements) -> dict[int, str]:  # noqa: ANN401
    """Return {version: checksum} of the migrations that the schema has."""
    return _merged(await _recorded_migrations(connection, statements), statements.schema)


def _merged(recorded: dict[int, str], where: str) -> dict[int, str]:
    """Return what is recorded, with 0001 in the place of those that it replaced."""
    if recorded == _MERGED:
        return {1: load_migrations(__package__ or "")[0].checksum}
    if recorded.get(1) == _MERGED[1]:
        msg = (
            f"{where}: the schema is one of before the first release that lacks some of its "
            f"{len(_MERGED)} migrations; open it once with the version of then, or move the data "
            "with aqe memory export and import"
        )
        raise SchemaError(msg)
    return recorded


async def _recorded_migrations(connection: Any, statements: Statements) -> dict[int, str]:  # noqa: ANN401
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
