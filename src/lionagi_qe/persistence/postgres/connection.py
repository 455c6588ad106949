"""Connections to PostgreSQL: the pool, and giving up cleanly."""

from __future__ import annotations

import contextlib
from operator import methodcaller
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.postgres.server_errors import LOST
from lionagi_qe.persistence.server_support.pool import Pool
from lionagi_qe.persistence.values.url import check_url, redact

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.hosts import Hosts

Connection = Any
AsyncpgPool = Any

MAX_CONNECTIONS = 10
_PREPARED = 100
# What our statements and functions rely on, whatever the server, the role, the database or the URL
# says. Isolation: they lock the rows that they change and read them anew; under a stricter one the
# server refuses one of two such statements instead (40001). Digits: less than 1 rounds sums.
# Strings: functions are read under the setting of who calls them first.
PINNED = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
}
_PIN = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in PINNED.items()
)
DEFAULT_SCHEMA = "lionagi_qe"
APPLICATION_NAME = "lionagi-qe"
# Connections that were warned since their last call. A statement of ours gives no warning but one:
# the wait for a standby was ended from outside, and the commit is here alone.
WARNED: set[Connection] = set()
_WARNING = "01000"


def split_options(dsn: str) -> tuple[str, dict[str, str]]:
    """Take our own options out of a URL; the rest is the driver's."""
    parts = check_url(dsn)
    if dsn and parts.scheme not in {"postgresql", "postgres"}:
        msg = f"{redact(dsn)!r}: is no URL of PostgreSQL; write postgresql://user@host/database"
        raise ConfigurationError(msg)
    options = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in options if name in {"schema", "pool_size"}}
    rest = urlencode([option for option in options if option[0] not in ours])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, rest, parts.fragment)), ours


def address(dsn: str) -> str:
    """Return host, port and database of a URL, without user and password."""
    parts = urlsplit(dsn)
    options = dict(parse_qsl(parts.query))
    host = parts.netloc.rsplit("@", 1)[-1] or options.get("host") or "localhost"
    return f"PostgreSQL at {host}{parts.path or '/' + options.get('dbname', '')}".rstrip("/")


async def connect(hosts: Hosts, *, prepared: int = 0) -> Connection:
    """Open a connection that depends on nothing a transaction-mode pooler loses.

    With ``prepared``, so many statements stay prepared across calls: not for a pooler.
    """
    return await hosts.connect(
        statement_cache_size=prepared,
        server_settings={"application_name": APPLICATION_NAME},
    )


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler answers: it makes up the process number that the handshake told."""
    return connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()")


async def check_settings(connection: Connection, where: str) -> None:
    """Refuse connections that are not ours to pin, and whose settings would make calls fail.

    Raises:
        ConfigurationError: one of ``PINNED`` has another value.
        asyncpg's own: a pooler takes no transactions; see ``explain``.

    """
    async with connection.transaction():
        settings = await connection.fetch(
            "SELECT name, current_setting(name) FROM unnest($1::text[]) AS name", [*PINNED]
        )
    for name, found in settings:
        wanted = PINNED[name]
        if found != wanted and not (name == "extra_float_digits" and int(found) > 0):
            msg = (
                f"{where}: {name} is {found!r} behind this pooler or pool, and has to be "
                f"{wanted!r}; ALTER ROLE ... SET {name} = '{wanted}', or connect directly"
            )
            raise ConfigurationError(msg)


def open_pool(hosts: Hosts, *, size: int, pooled: bool) -> Pool[Connection]:
    """Return a pool of ours; behind a pooler nothing may be prepared across calls."""

    async def open_connection() -> Connection:
        connection = await connect(hosts, prepared=0 if pooled else _PREPARED)
        connection.add_log_listener(_note_warning)
        # A pooler shares its sessions with others, so a setting would reach them, or be lost.
        if not pooled:
            try:
                await connection.execute(_PIN)
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def drop(connection: Connection) -> None:
        WARNED.discard(connection)
        connection.terminate()

    return Pool(open_connection, is_closed=methodcaller("is_closed"), drop=drop, size=size)


def _note_warning(connection: Connection, message: Any) -> None:  # noqa: ANN401 - the driver's own
    if message.sqlstate == _WARNING and message.severity_en == "WARNING":
        WARNED.add(connection)


class CallersPool:
    """An asyncpg pool of the caller's, which it opened and will close."""

    def __init__(self, pool: AsyncpgPool) -> None:
        self._pool = pool

    async def acquire(self) -> Connection:
        """Wait for a connection that is ready for a call."""
        return await self._pool.acquire()

    async def release(self, connection: Connection) -> None:
        """Release a connection, also a broken one; the pool resets it."""
        with contextlib.suppress(*LOST, asyncpg.PostgresError):
            await self._pool.release(connection)

    def figures(self) -> dict[str, int]:
        """Return how many connections there are; who waits for one, such a pool doesn't tell."""
        return {
            "connections": self._pool.get_size(),
            "idle": self._pool.get_idle_size(),
            "limit": self._pool.get_max_size(),
        }

    async def close(self) -> None:
        """Leave it open."""


Pools = Pool[Connection] | CallersPool
