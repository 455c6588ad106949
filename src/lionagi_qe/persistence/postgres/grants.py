"""Roles of PostgreSQL that are bound to parts of a fleet, by policies that the server enforces.

A grant is a set of policies for one role, and the privileges that they are for; a comment on one of
them has its patterns, for who lists grants. There is no table of grants that could disagree.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AccessDeniedError, ConfigurationError
from lionagi_qe.persistence.contract.grants import Grant, Granted
from lionagi_qe.persistence.postgres import grant_statements as statements
from lionagi_qe.persistence.postgres.policies import (
    BOUND,
    FUNCTIONS,
    PREFIX,
    RELATIONS,
    SEQUENCE,
    TURNS,
    WHOLE,
    identifier,
    literal,
    policies,
    privileges,
)

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.session import PostgresSession

# Who waits for a table keeps all others from it who come later.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '3s'"
_PARTS = ("read", "write", "queues", "leases")


class PostgresGrants:
    """The grants of a fleet; for who owns its tables.

    Args:
        session: of the fleet, opened.
        fleet: the fleet's name.
    """

    def __init__(self, session: PostgresSession, fleet: str) -> None:
        self._session = session
        self._fleet = fleet
        self._schema = session.sql.schema

    async def grant(self, grant: Grant, password: str | None) -> Granted:
        """Bind the role by policies; one transaction, for which the tables are locked.

        The first grant turns row-level security on: it holds for all but the tables' owner and
        superusers. Roles that had privileges on a table before get a policy that shows them all.

        Raises:
            AccessDeniedError: we may not grant.
            BackendUnavailableError: the tables were in use for more than 3 seconds.
            ConfigurationError: there is no such role, or policies would not hold for it.

        """
        if password is not None:
            raise ConfigurationError(
                "a role of PostgreSQL has its password already; give none (ALTER ROLE changes it)"
            )
        async with self._session.connection(mutates=True) as connection, connection.transaction():
            await self._begin(connection)
            oid = await self._check_role(connection, grant.role)
            notes = await self._enable(connection, grant.role, oid)
            await self._drop(connection, oid, self._begins)
            await self._create(connection, grant)
            await self._settle_privileges(connection, grant.role)
        return Granted(grant, notes)

    async def revoke(self, role: str) -> bool:
        """Drop the role's policies in the fleet, and privileges that it needs no more.

        Row-level security stays on: other roles are bound by it.
        """
        async with self._session.connection(mutates=True) as connection, connection.transaction():
            await self._begin(connection)
            oid = await connection.fetchval(statements.ROLE_ID, role)
            if oid is None or not await self._drop(connection, oid, self._begins):
                return False
            await self._settle_privileges(connection, role)
        return True

    async def grants(self) -> list[Grant]:
        """Read the comments of the policies."""
        async with self._session.connection() as connection:
            found = await self._granted(connection)
        return [grant for grant in found if grant.fleet == self._fleet]

    # Before anything is changed

    async def _begin(self, connection: Any) -> None:  # noqa: ANN401 - the driver's own
        await connection.execute(_LOCK_TIMEOUT)
        owned = await connection.fetchval(statements.MAY_GRANT, self._schema_name, [*RELATIONS])
        if not owned:
            raise AccessDeniedError(
                f"{self._session.where}: only the owner of the tables in schema {self._schema} "
                "can grant; use the URL of the role that made them"
            )
        tables = ", ".join(f"{self._schema}.{table}" for table in BOUND)
        await connection.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")

    async def _check_role(self, connection: Any, role: str) -> int:  # noqa: ANN401
        """Return the role's id.

        Raises:
            ConfigurationError: there is none, or the server wouldn't bind it.

        """
        oid = await connection.fetchval(statements.ROLE_ID, role)
        if oid is None:
            raise ConfigurationError(
                f"{self._session.where}: there is no role {role!r}; make it first: "
                f"CREATE ROLE {identifier(role)} LOGIN PASSWORD '...'"
            )
        # It had privileges by hand, which the grant takes the place of.
        await self._drop(connection, oid, WHOLE)
        reasons = [
            reason
            for (reason,) in await connection.fetch(
                statements.UNBOUND,
                role,
                self._schema_name,
                [*BOUND],
                PREFIX,
                [*RELATIONS],
                [*FUNCTIONS],
            )
        ]
        if reasons:
            raise ConfigurationError(
                f"{self._session.where}: role {role!r} can't be bound by the server: "
                f"{'; '.join(reasons)}; nothing was changed"
            )
        return oid

    async def _enable(self, connection: Any, role: str, oid: int) -> list[str]:  # noqa: ANN401
        """Turn row-level security on where it is off, and return what people should know of it."""
        notes: list[str] = []
        for table, others in await connection.fetch(
            statements.UNPROTECTED, self._schema_name, [*BOUND], oid
        ):
            name = f"{self._schema}.{table}"
            await connection.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
            for other in others:
                await connection.execute(
                    f"CREATE POLICY {WHOLE}{secrets.token_hex(4)} ON {name} "
                    f"TO {identifier(other)} USING (true) WITH CHECK (true)"
                )
                note = (
                    f"role {other!r} has privileges of its own and goes on seeing all; pg_dump as "
                    "it now wants --enable-row-security"
                )
                if note not in notes:
                    notes.append(note)
        by_hand = await connection.fetchval(
            statements.HAS_PRIVILEGES, self._schema_name, oid, [*RELATIONS]
        ) and not await connection.fetchval(statements.OWN_POLICIES, self._schema_name, oid, PREFIX)
        if by_hand:
            notes.append(f"role {role!r} had privileges by hand: it has those of the grant instead")
        return notes

    # Changing

    async def _create(self, connection: Any, grant: Grant) -> None:  # noqa: ANN401
        tag = secrets.token_hex(4)
        for policy in policies(grant, self._session.fleet, self._schema):
            name = f"{PREFIX}{self._session.fleet}_{tag}_{policy.kind}"
            place = f"{name} ON {self._schema}.{policy.table}"
            await connection.execute(
                f"CREATE POLICY {place} FOR {policy.command} TO {identifier(grant.role)} "
                f"{policy.condition}"
            )
            if policy.table == "fleets":
                facts = {part: getattr(grant, part) for part in _PARTS}
                text = json.dumps({"fleet": self._fleet, **facts}, ensure_ascii=False)
                await connection.execute(f"COMMENT ON POLICY {place} IS {literal(text)}")

    async def _drop(self, connection: Any, oid: int, begins: str) -> bool:  # noqa: ANN401
        """Drop the role's policies whose names begin so; return whether there were any."""
        rows = await connection.fetch(statements.OWN_POLICY_NAMES, self._schema_name, oid, begins)
        for name, table in rows:
            await connection.execute(
                f"DROP POLICY {identifier(name)} ON {self._schema}.{identifier(table)}"
            )
        return bool(rows)

    async def _settle_privileges(self, connection: Any, role: str) -> None:  # noqa: ANN401
        """Give the role the privileges that its grants in all fleets need, and no others."""
        name, schema = identifier(role), self._schema
        ours = ", ".join(f"{schema}.{relation}" for relation in RELATIONS)
        await connection.execute(f"REVOKE ALL ON TABLE {ours} FROM {name}")
        own = [grant for grant in await self._granted(connection) if grant.role == role]
        if not own:
            if not await connection.fetchval(statements.IS_SHARED, self._schema_name, [*RELATIONS]):
                await connection.execute(f"REVOKE USAGE ON SCHEMA {schema} FROM {name}")
            return
        await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
        await connection.execute(f"GRANT USAGE, SELECT ON SEQUENCE {schema}.{SEQUENCE} TO {name}")
        if any(grant.queues for grant in own):
            await connection.execute(f"GRANT USAGE ON SEQUENCE {schema}.{TURNS} TO {name}")
        for table, what in privileges(own).items():
            await connection.execute(f"GRANT {what} ON {schema}.{table} TO {name}")

    async def _granted(self, connection: Any) -> list[Grant]:  # noqa: ANN401
        """Return the grants in all fleets, by role."""
        rows = await connection.fetch(statements.GRANTS, self._schema_name, PREFIX)
        found: list[Grant] = []
        for role, text in rows:
            facts = json.loads(text)
            parts = {part: tuple(facts[part]) for part in _PARTS}
            found.append(Grant(role, facts["fleet"], **parts))
        return found

    @property
    def _begins(self) -> str:
        """Return how the names of the fleet's policies begin."""
        return f"{PREFIX}{self._session.fleet}_"

    @property
    def _schema_name(self) -> str:
        return self._schema[1:-1].replace('""', '"')
