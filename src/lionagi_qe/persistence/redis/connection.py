"""Connections to a Redis server; those to a cluster are in ``cluster``.

The drivers' own retries are off: what was sent is never sent again.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import redis.asyncio as driver
from hiredis import pack_command
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from lionagi_qe.errors import BackendUnavailableError, ConfigurationError
from lionagi_qe.persistence.redis.replicas import Wait, exchange
from lionagi_qe.persistence.redis.sending import telling_loss
from lionagi_qe.persistence.redis.server_errors import FAILURES, explain, is_elsewhere
from lionagi_qe.persistence.server_support.pool import Pool
from lionagi_qe.persistence.server_support.tls import answers_plainly, speaks_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.persistence.redis.scripts import Script

T = TypeVar("T")

MAX_CONNECTIONS = 10
# The same answers from every version of server and driver, whatever a URL says: bytes, by RESP2.
_PINNED: dict[str, Any] = {
    "protocol": 2,
    "decode_responses": False,
    "encoding": "utf-8",
    "encoding_errors": "strict",
}
# What is asked of TLS unless the caller says otherwise, whatever version of the driver.
_VERIFIED: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
# Seconds without an answer to a handshake, after which a server is asked whether it speaks TLS.
_QUIET_SECONDS = 1.0
# Calls have deadlines of their own. The driver's would go through asyncio.wait_for, which on
# Python 3.11 can swallow a cancellation.
_NO_TIMEOUTS: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": None}


class Link(Protocol):
    """How the backend talks to the server or servers; ``route`` is a key of the shard meant.

    Attributes:
        where: they are, for people.
        has_database: another than a server's first is used.
        knows_replicas: they are among those that ``everywhere`` reaches.
        moves_slots: keys may be on their way from one server to another.
    """

    where: str
    has_database: bool
    knows_replicas: bool
    moves_slots: bool

    async def open(self) -> None:
        """Connect and check that the server answers."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    async def command(self, route: str, *words: Any, mutates: bool = False) -> Any:  # noqa: ANN401
        """Send one command and return its answer."""
        ...

    async def info(self) -> list[dict[str, str]]:
        """Return what each server that changes are sent to tells of itself."""
        ...

    async def everywhere(self, *words: Any) -> list[Any]:  # noqa: ANN401
        """Send one command to each server that we know of, replicas of a cluster among them.

        An error may come after some of them have done it.
        """
        ...

    def figures(self) -> dict[str, int]:
        """Return how many connections there are; see Pool."""
        ...

    async def connect(self) -> driver.Connection:
        """Open a connection of its own, to listen on; raises what the driver raises."""
        ...


async def run(
    link: Link,
    script: Script,
    route: str,
    *arguments: Any,  # noqa: ANN401
    mutates: bool = False,
) -> Any:  # noqa: ANN401
    """Run a script by its digest; only a server that doesn't know it yet is sent the text.

    A script finds its keys as it goes. While the cluster moves their slot some are here and some
    there, and it would take those for missing, or break off in the middle. So another key is named
    that there never is: a node of a slot on the move answers TRYAGAIN if any of several named keys
    is missing, and the call is tried again until the slot has arrived.
    """
    keys = (2, route, f"{route}:never") if link.moves_slots else (1, route)
    words = (*keys, *arguments)
    try:
        return await link.command(route, "EVALSHA", script.digest, *words, mutates=mutates)
    except exceptions.NoScriptError:
        return await link.command(route, "EVAL", script.text, *words, mutates=mutates)


async def connect(settings: dict[str, Any]) -> driver.Connection:
    """Open a connection with these settings of the driver's; raises what it raises."""
    settings = introduced(settled(settings), AbstractConnection)
    kind: type[driver.Connection] = settings.pop("connection_class", driver.Connection)
    return await connected(make(kind, **settings))


async def connected(connection: driver.Connection) -> driver.Connection:
    """Open a connection; one that can't be opened is dropped."""
    try:
        if isinstance(connection, SSLConnection):
            await _shake_hands(connection)
        else:
            await connection.connect()
    except BaseException:
        await drop(connection)
        raise
    return connection


async def _shake_hands(connection: SSLConnection) -> None:
    """Connect by TLS; a server that doesn't speak it may wait in silence for more of a command."""
    connecting = asyncio.ensure_future(connection.connect())
    try:
        await asyncio.wait({connecting}, timeout=_QUIET_SECONDS)
        place = connection.host, int(connection.port)
        if not connecting.done() and await answers_plainly(*place, b"PING\r\n", _QUIET_SECONDS):
            msg = f"Redis at {place[0]}:{place[1]}: speaks no TLS; write redis:// if that is right"
            raise ConfigurationError(msg)
        await connecting
    finally:
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting})


async def refuse_if_tls(
    places: Sequence[tuple[str, int]], where: str, scheme: str, error: Exception
) -> None:
    """Raise ConfigurationError if one of these hung up since it was not spoken to by TLS."""
    spoken = await asyncio.gather(*(speaks_tls(*place, _QUIET_SECONDS) for place in places))
    if any(spoken):
        msg = f"{where}: speaks TLS at this port; write {scheme}://"
        raise ConfigurationError(msg) from error


def settled(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with what all our connections need."""
    if settings.get("ssl") or settings.get("connection_class") is SSLConnection:
        settings = _VERIFIED | settings
    return _NO_TIMEOUTS | settings | _PINNED | {"retry": Retry(NoBackoff(), 0)}


def introduced(settings: dict[str, Any], kind: type[object]) -> dict[str, Any]:
    """Return settings for this class of the driver's, with what names us to the server.

    A driver that isn't given it reads its package's metadata anew for each connection, some
    milliseconds of the processor; those before 8 have names of their own for it, or do so once.
    """
    if not _takes_driver_info(kind):
        return settings
    own = {"name": settings.get("lib_name"), "lib_version": settings.get("lib_version")}
    said = tuple((option, value) for option, value in own.items() if value is not None)
    kept = {name: settings[name] for name in settings.keys() - {"lib_name", "lib_version"}}
    return {"driver_info": _driver_info(said), **kept}


@functools.cache
def _takes_driver_info(kind: type[object]) -> bool:
    return "driver_info" in inspect.signature(kind).parameters


@functools.cache
def _driver_info(said: tuple[tuple[str, str], ...]) -> object:
    # Older drivers have no such module.
    return importlib.import_module("redis.driver_info").DriverInfo(**dict(said))


def make(kind: Callable[..., T], **settings: Any) -> T:  # noqa: ANN401 - the driver's own
    """Make one of the driver's objects; ConfigurationError for a setting that it doesn't know."""
    try:
        return kind(**settings)
    except TypeError as error:
        _, _, reason = str(error).partition("() ")
        msg = f"Redis: {reason or error}; options that aren't ours are redis-py's"
        raise ConfigurationError(msg) from error


async def drop(connection: driver.Connection) -> None:
    """Close a connection without waiting for the server."""
    await connection.disconnect(nowait=True)


def is_closed(connection: driver.Connection) -> bool:
    """Whether the server has closed the connection.

    A change sent on a connection that was closed long ago would else end as "outcome unknown".
    """
    reader: asyncio.StreamReader | None = getattr(connection, "_reader", None)
    return reader is None or reader.at_eof() or reader.exception() is not None


def parse_info(answer: bytes) -> dict[str, str]:
    """Return the facts of an answer to INFO."""
    lines = (line.partition(":") for line in answer.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


def database(settings: dict[str, Any]) -> str:
    """Return which of a server's databases it is, for people, where it isn't the usual one."""
    return f", database {settings['db']}" if settings.get("db") else ""


class ServerLink:
    """A pool of connections to one server.

    Args:
        settings: of the driver's connections.
        pool_size: most connections.
        wait: how many replicas must have a change before it counts as made; None: it isn't asked.

    Attributes:
        scheme: of the URLs of such servers, if they speak TLS.
        has_database, knows_replicas, moves_slots: see Link.
    """

    scheme = "rediss"
    knows_replicas = False
    moves_slots = False

    def __init__(
        self, settings: dict[str, Any], *, pool_size: int, wait: Wait | None = None
    ) -> None:
        self._settings = settings
        self._size = pool_size
        self._wait = wait
        self._pool: Pool[driver.Connection] | None = None
        self.has_database = bool(settings.get("db"))
        host, port = settings.get("host", "localhost"), settings.get("port", 6379)
        self.where = f"Redis at {settings.get('path') or f'{host}:{port}'}" + database(settings)

    async def open(self) -> None:
        """Make the pool and greet the server."""
        self._pool = Pool(self.connect, is_closed=is_closed, drop=drop, size=self._size)
        try:
            await self.command("", "PING")
        except BackendUnavailableError as error:
            await refuse_if_tls(self._asked_plainly(), self.where, self.scheme, error)
            raise

    def _asked_plainly(self) -> list[tuple[str, int]]:
        """Return who is spoken to without TLS before anything else."""
        host, port = self._settings.get("host"), self._settings.get("port")
        if host is None or "connection_class" in self._settings:
            return []
        return [(str(host), int(port or 6379))]

    async def close(self) -> None:
        """Drop all connections."""
        if self._pool is not None:
            await self._pool.close()

    async def command(self, route: str, *words: Any, mutates: bool = False) -> Any:  # noqa: ANN401, ARG002
        """Send one command over a pooled connection.

        A connection whose call was cut short is dropped: its answer may still be on the way.
        """
        pool = cast("Pool[driver.Connection]", self._pool)
        try:
            connection = await pool.acquire()
        except FAILURES as error:
            raise explain(error, self.where, sent=False) from error
        wait = self._wait if mutates else None
        try:
            # What the driver's own send_command does in Python costs more than all else of a call.
            if wait is None:
                await telling_loss(connection.send_packed_command([pack_command(words)]))
                return await connection.read_response()
            answer, told = await exchange(connection, words, wait)
        except exceptions.NoScriptError:
            raise
        except exceptions.ResponseError as error:
            if is_elsewhere(error):
                await drop(connection)
            raise explain(error, self.where, sent=False) from error
        except FAILURES as error:
            await drop(connection)
            raise explain(error, self.where, sent=mutates) from error
        except BaseException:
            await drop(connection)
            raise
        finally:
            released = pool.release(connection)
            if released is not None:
                await released
        wait.check(told, self.where)
        return answer

    async def info(self) -> list[dict[str, str]]:
        """Return what the server tells of itself."""
        return [parse_info(await self.command("", "INFO"))]

    async def everywhere(self, *words: Any) -> list[Any]:  # noqa: ANN401
        """Send one command to the server."""
        return [await self.command("", *words)]

    def figures(self) -> dict[str, int]:
        """Return how many connections there are; while it is open."""
        return cast("Pool[driver.Connection]", self._pool).figures()

    async def connect(self) -> driver.Connection:
        """Open a connection, for the pool or beside it."""
        return await connect(self._settings)
