"""One process's connections to a PostgreSQL database, and a fleet's place in it."""

from __future__ import annotations

from typing import cast

import asyncpg

from lionagi_qe.errors import AccessDeniedError, AqeError, InvalidArgumentError
from lionagi_qe.persistence.postgres import connection as link
from lionagi_qe.persistence.postgres.hosts import Hosts
from lionagi_qe.persistence.postgres.schema import enter
from lionagi_qe.persistence.postgres.server_errors import LOST, explain, unconfirmed
from lionagi_qe.persistence.postgres.statements import Statements

_LONGEST_SCHEMA_NAME = 63
# It stands in names, in texts and in the bodies of functions.
_NOT_IN_SCHEMA_NAMES = frozenset("'\\${}\x00")


class PostgresSession:
    """A fleet's place in a database, and how the backend's parts get at it.

    Attributes:
        sql: the statements, by name.
        where: the server and database, without user and password.
        fleet: the fleet's number; 0 before it is opened.
        is_bound: the server lets our role reach a part of the fleet only; see ``grants``.
        is_pooled: a transaction pooler stands between.
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
        if (
            not schema
            or len(schema.encode()) > _LONGEST_SCHEMA_NAME
            or not _NOT_IN_SCHEMA_NAMES.isdisjoint(schema)
        ):
            msg = (
                f"schema {schema!r}: a PostgreSQL schema's name has 1 to 63 bytes, and ours none "
                "of ' \\ $ { } nor a NUL"
            )
            raise InvalidArgumentError(msg)
        self._dsn = dsn
        self._hosts = Hosts(dsn)
        self._listen_dsn = listen_dsn
        self._given_pool = pool
        self._pool_size = pool_size
        self._pool: link.Pools | None = None
        self.is_bound = False
        self.is_pooled = False
        self.sql = Statements(schema)
        self.where = link.address(dsn) if dsn else "PostgreSQL"
        self.fleet = 0

    @property
    def pool_figures(self) -> dict[str, int]:
        """How many connections there are; while it is open."""
        return cast("link.Pools", self._pool).figures()

    @property
    def hosts(self) -> Hosts:
        """Where the servers are that are connected to."""
        return self._hosts

    @property
    def listen_dsn(self) -> str | None:
        """Where LISTEN works; None behind a transaction pooler, and with a pool of the caller's."""
        return self._listen_dsn or (None if self.is_pooled else self._dsn or None)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Connect, migrate under a lock, enter the fleet."""
        place = f"{self.where}, schema {self.sql.schema}"
        if self._given_pool is not None:
            self._pool = link.CallersPool(self._given_pool)
            async with self.connection() as connection:
                await link.check_settings(connection, self.where)
                self.fleet, self.is_bound = await enter(
                    connection, fleet, self.sql, migrate=migrate, where=place
                )
            return
        try:
            connection = await link.connect(self._hosts)
            try:
                self.is_pooled = await link.is_pooled(connection)
                if self.is_pooled:
                    await link.check_settings(connection, self.where)
                self.fleet, self.is_bound = await enter(
                    connection, fleet, self.sql, migrate=migrate, where=place
                )
            finally:
                connection.terminate()
            self._pool = link.open_pool(self._hosts, size=self._pool_size, pooled=self.is_pooled)
        except Exception as error:
            raise explain(error, self.where, sent=False) from error

    async def close(self) -> None:
        """Close our own pool; a given one is its owner's."""
        if self._pool is not None:
            # Nothing is under way any more; a polite good-bye could wait for a dead server.
            await self._pool.close()

    def check_whole(self, what: str) -> None:
        """Raise AccessDeniedError if our role reaches a part of the fleet only."""
        if self.is_bound:
            raise AccessDeniedError(
                f"{self.where}: {what} needs all of the fleet, and this role is bound to a part of "
                "it by aqe memory grant; nothing was sent"
            )

    def refused(self, what: str) -> AccessDeniedError:
        """Return the error of what the server does not let our role do."""
        return AccessDeniedError(
            f"{self.where}: {what}: the server does not let this role do that; nothing was "
            "changed. The owner of the tables can: aqe memory grant"
        )

    def connection(self, *, mutates: bool = False) -> LeasedConnection:
        """Lease a connection of the pool; ``mutates``: a lost one leaves the outcome unknown."""
        return LeasedConnection(cast("link.Pools", self._pool), self.where, mutates=mutates)


class LeasedConnection:
    """A connection of the pool while a block runs; an exception leaves no half-done call behind.

    Only an error that the server itself reported leaves the connection fit for the next. One whose
    call was cancelled is dropped too, since waiting for a server that may be gone to confirm the
    cancellation could take for ever. A class, as a generator's context costs a look-up more than
    its own work does.
    """

    __slots__ = ("_connection", "_mutates", "_pool", "_where")

    def __init__(self, pool: link.Pools, where: str, *, mutates: bool) -> None:
        self._pool = pool
        self._where = where
        self._mutates = mutates

    async def __aenter__(self) -> link.Connection:
        try:
            self._connection = await self._pool.acquire()
        except Exception as error:
            raise explain(error, self._where, sent=False) from error
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        connection = self._connection
        reported = isinstance(error, asyncpg.PostgresError)
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError) or (
            error is not None and not reported and not isinstance(error, AqeError)
        ):
            # A session that may only read stays so; another server may be writable at this address.
            connection.terminate()
        warned = connection in link.WARNED
        if warned:
            link.WARNED.discard(connection)
        released = self._pool.release(connection)
        if released is not None:
            await released
        if warned and error is None and self._mutates:
            raise unconfirmed(self._where)
        if reported or isinstance(error, LOST):
            raise explain(error, self._where, sent=self._mutates) from error
