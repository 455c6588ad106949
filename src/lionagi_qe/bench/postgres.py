"""The arena on PostgreSQL, and the plain driver there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import asyncpg
import orjson

from lionagi_qe.bench.arena import Arena
from lionagi_qe.bench.contender import Contender, Kind
from lionagi_qe.bench.memory import OurMemory
from lionagi_qe.bench.peers import KeyValuePostgres, LangGraph, Saq, installed
from lionagi_qe.persistence.postgres import connection as link
from lionagi_qe.persistence.postgres.hosts import Hosts
from lionagi_qe.persistence.postgres.server_errors import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

POOL_SIZE = 10
_TABLE = """
CREATE TABLE {table} (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""
_ON_CONFLICT = "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()"
# Constants all, but for the table's name.
_SQL = {
    "store": f"INSERT INTO {{table}} (key, value) VALUES ($1, $2) {_ON_CONFLICT}",  # noqa: S608
    "store_many": f"""
INSERT INTO {{table}} (key, value) SELECT * FROM unnest($1::text[], $2::text[]) {_ON_CONFLICT}
""",  # noqa: S608
    "retrieve": "SELECT value FROM {table} WHERE key = $1",
    "search": "SELECT key, value FROM {table} WHERE key >= $1 AND key < $2 ORDER BY key",
}
_LAST = "\U0010ffff"


async def _keep(_: Any) -> None:  # noqa: ANN401 - the driver's connection
    """Leave the session as it is."""


class PlainAsyncpg(Contender):
    """A pool of 10 as it comes, the best single statement for each call, JSON in a text column."""

    name = "asyncpg"
    kind = Kind.DRIVER
    package = "asyncpg"
    _table = "plain"
    _reset: Callable[[Any], Awaitable[None]] | None = None

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn = dsn
        self._schema = schema
        self._pool: Any = None
        self._sql = {name: text.format(table=self._table) for name, text in _SQL.items()}

    async def open(self) -> None:
        """Fill the pool and make the table."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            server_settings={"search_path": self._schema},
            reset=self._reset,
        )
        await self._pool.execute(_TABLE.format(table=self._table))

    async def close(self) -> None:
        """Empty the pool."""
        await self._pool.close()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Upsert one row."""
        await self._pool.execute(self._sql["store"], key, orjson.dumps(value).decode())

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Select one row."""
        return orjson.loads(await self._pool.fetchval(self._sql["retrieve"], key))

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Upsert rows from arrays."""
        values = [orjson.dumps(value).decode() for value in items.values()]
        await self._pool.execute(self._sql["store_many"], list(items), values)

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """Select a range of the primary key."""
        rows = await self._pool.fetch(self._sql["search"], prefix, prefix + _LAST)
        return {key: orjson.loads(value) for key, value in rows}


class AsyncpgWithoutResets(PlainAsyncpg):
    """The same, its pool told not to reset a connection after each call: a round trip less."""

    name = "asyncpg, no resets"
    kind = Kind.PEER
    _table = "without_resets"
    _reset = staticmethod(_keep)


class PostgresArena(Arena):
    """A schema of its own in the database that the URL names."""

    backend = "postgresql"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._dsn, _ = link.split_options(url)
        self._connection: Any = None

    async def enter(self) -> None:
        """Connect and make the schema."""
        try:
            self._connection = await link.connect(Hosts(self._dsn))
            await self._connection.execute(f"CREATE SCHEMA {self.token}")
        except Exception as error:
            raise explain(error, link.address(self._dsn), sent=False) from error

    async def leave(self) -> None:
        """Drop the schema."""
        await self._connection.execute(f"DROP SCHEMA IF EXISTS {self.token} CASCADE")
        await self._connection.close()

    @property
    def memory_url(self) -> str:
        """The URL with the schema."""
        return _with(self._dsn, schema=self.token)

    def contenders(self) -> list[Contender]:
        """Return ours, asyncpg twice, and LangGraph, py-key-value and SAQ if installed."""
        found: list[Contender] = [
            OurMemory(self.memory_url, self.token),
            PlainAsyncpg(self._dsn, self.token),
            AsyncpgWithoutResets(self._dsn, self.token),
        ]
        libpq_url = _with(self._dsn, options=f"-csearch_path={self.token}")
        if installed("langgraph-checkpoint-postgres", "psycopg-pool"):
            found.append(LangGraph(libpq_url, POOL_SIZE))
        if installed("py-key-value-aio"):
            found.append(KeyValuePostgres(self._dsn, self.token, POOL_SIZE))
        if installed("saq", "psycopg-pool"):
            found.append(Saq(libpq_url, self.token, min_size=POOL_SIZE, max_size=POOL_SIZE))
        return found

    async def settle(self) -> None:
        """Vacuum and analyze what was stored, as autovacuum soon would."""
        rows = await self._connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1", self.token
        )
        for (table,) in rows:
            await self._connection.execute(f'VACUUM (ANALYZE) {self.token}."{table}"')

    async def describe(self) -> dict[str, Any]:
        """Tell the version and the settings that durability hangs on."""
        row = await self._connection.fetchrow(
            "SELECT current_setting('server_version') AS version, "
            "current_setting('fsync') AS fsync, "
            "current_setting('synchronous_commit') AS synchronous_commit, "
            "current_setting('shared_buffers') AS shared_buffers"
        )
        facts = dict(row)
        return {"server": f"PostgreSQL {facts.pop('version')}", **facts}


def _with(url: str, **options: str) -> str:
    """Return ``url`` with options added."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(options, quote_via=quote)]))
    return urlunsplit(parts._replace(query=query))
