"""Connections to Redis: one server or a cluster, and what their errors mean.

The drivers' own retries are off: what was sent is never sent again.
"""

from __future__ import annotations

import math
import random
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import redis.asyncio as driver
from hiredis import pack_command
from redis import exceptions
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendFullError,
    BackendUnavailableError,
    ConfigurationError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.redis.replicas import Wait, exchange
from lionagi_qe.persistence.server_support.limiter import Limiter
from lionagi_qe.persistence.server_support.pool import Pool

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lionagi_qe.persistence.redis.scripts import Script

T = TypeVar("T")

MAX_CONNECTIONS = 10
# How often a call follows a cluster's word that a slot is elsewhere.
_REDIRECTIONS = 5
# The same answers from every version of server and driver, whatever a URL says: bytes, by RESP2.
_PINNED: dict[str, Any] = {
    "protocol": 2,
    "decode_responses": False,
    "encoding": "utf-8",
    "encoding_errors": "strict",
}
# Calls have deadlines of their own. The driver's would go through asyncio.wait_for, which on
# Python 3.11 can swallow a cancellation.
_NO_TIMEOUTS: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": None}
# What the driver raises when a call failed; the second is none of the first.
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
# Of these, what comes before anything is sent.
_NOT_SENT = (exceptions.MaxConnectionsError, exceptions.RedisClusterException)
# Answers like those of _LATER, where the driver takes the word away.
_NOT_NOW = (
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
# ... by the driver's classes.
_MOVED_ON = (exceptions.MasterDownError, exceptions.ReadOnlyError)
_ACCESS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "AUTH")
_LATER = (
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
)
# Of those, what a server says that is a primary no more, or is left by its replicas since another
# took over: where that one can be found is asked anew.
_ELSEWHERE = ("MASTERDOWN", "NOREPLICAS", "READONLY")
# Before Redis 7, what a command answers within a script is told at the end of the script's error.
_IN_SCRIPT = re.compile(r"(?:ERR )?Error running script .*?: -?(?=[A-Z]{3,} )")


class Link(Protocol):
    """How the backend talks to the server or servers; ``route`` is a key of the shard meant."""

    where: str

    async def open(self) -> None:
        """Connect and check that the server answers."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    async def command(self, route: str, *words: Any, mutates: bool = False) -> Any:  # noqa: ANN401
        """Send one command and return its answer."""
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
    """Run a script by its digest; only a server that doesn't know it yet is sent the text."""
    try:
        return await link.command(
            route, "EVALSHA", script.digest, 1, route, *arguments, mutates=mutates
        )
    except exceptions.NoScriptError:
        return await link.command(route, "EVAL", script.text, 1, route, *arguments, mutates=mutates)


async def connect(settings: dict[str, Any]) -> driver.Connection:
    """Open a connection with these settings of the driver's; raises what it raises."""
    settings = _settled(settings)
    kind: type[driver.Connection] = settings.pop("connection_class", driver.Connection)
    return await _connected(_make(kind, **settings))


async def _connected(connection: driver.Connection) -> driver.Connection:
    try:
        await connection.connect()
    except BaseException:
        await drop(connection)
        raise
    return connection


def _settled(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with what all our connections need."""
    return _NO_TIMEOUTS | settings | _PINNED | {"retry": Retry(NoBackoff(), 0)}


def _make(kind: Callable[..., T], **settings: Any) -> T:  # noqa: ANN401 - the driver's own
    try:
        return kind(**settings)
    except TypeError as error:
        _, _, reason = str(error).partition("() ")
        msg = f"Redis: {reason or error}; options that aren't ours are redis-py's"
        raise ConfigurationError(msg) from error


async def drop(connection: driver.Connection) -> None:
    """Close a connection without waiting for the server."""
    await connection.disconnect(nowait=True)


def _is_closed(connection: driver.Connection) -> bool:
    """Whether the server has closed the connection.

    A change sent on a connection that was closed long ago would else end as "outcome unknown".
    """
    reader: asyncio.StreamReader | None = getattr(connection, "_reader", None)
    return reader is None or reader.at_eof() or reader.exception() is not None


class ServerLink:
    """A pool of connections to one server.

    Args:
        settings: of the driver's connections.
        pool_size: most connections.
        wait: how many replicas must have a change before it counts as made; None: it isn't asked.
    """

    def __init__(
        self, settings: dict[str, Any], *, pool_size: int, wait: Wait | None = None
    ) -> None:
        self._settings = settings
        self._size = pool_size
        self._wait = wait
        self._pool: Pool[driver.Connection] | None = None
        host = settings.get("host", "localhost")
        self.where = f"Redis at {settings.get('path') or host}:{settings.get('port', 6379)}"

    async def open(self) -> None:
        """Make the pool and greet the server."""
        self._pool = Pool(self.connect, is_closed=_is_closed, drop=drop, size=self._size)
        await self.command("", "PING")

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
                await connection.send_packed_command([pack_command(words)])
                return await connection.read_response()
            answer, told = await exchange(connection, words, wait)
        except exceptions.NoScriptError:
            raise
        except exceptions.ResponseError as error:
            if _is_answer(str(error), _ELSEWHERE) or isinstance(error, _MOVED_ON):
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

    async def connect(self) -> driver.Connection:
        """Open a connection, for the pool or beside it."""
        return await connect(self._settings)


class ClusterLink:
    """A client of a Redis Cluster, which knows which node serves which key.

    Args:
        settings: of the driver's client.
        pool_size: a fourth of the most connections to a node.
        wait: as for ServerLink; of each shard.
    """

    def __init__(
        self, settings: dict[str, Any], *, pool_size: int, wait: Wait | None = None
    ) -> None:
        self._settings = settings
        self._wait = wait
        # The driver can't say two things on one connection, so these are ours.
        self._pools: dict[tuple[str, int], Pool[driver.Connection]] = {}
        self._is_lost = False
        # The driver refuses a call beyond a node's connections; ours wait for their turn.
        self._limiter = Limiter(pool_size * 4)
        self._client: RedisCluster | None = None
        host = settings.get("host", "localhost")
        self.where = f"Redis Cluster at {host}:{settings.get('port', 6379)}"

    async def open(self) -> None:
        """Find the nodes."""
        ours = {
            # One more for the driver, when it asks which node serves what.
            "max_connections": self._limiter.limit + 1,
            "require_full_coverage": True,
        }
        self._client = _make(RedisCluster, **(_settled(self._settings) | ours))
        try:
            await self._client.initialize()
        except FAILURES as error:
            raise explain(error, self.where, sent=False) from error

    async def close(self) -> None:
        """Close the connections to all nodes."""
        client, self._client = self._client, None
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()
        if client is not None:
            await client.aclose()
            # Which does nothing after an error, when the driver is to ask for the nodes anew.
            await client.nodes_manager.aclose()
            await client.nodes_manager.aclose("startup_nodes")

    async def command(self, route: str, *words: Any, mutates: bool = False) -> Any:  # noqa: ANN401
        """Send one command to the node that serves ``route``."""
        client = cast("RedisCluster", self._client)
        options: dict[str, Any] = {}
        if words[0] in {"INFO", "CONFIG"}:
            options["target_nodes"] = client.get_node_from_key(route)
        if self._limiter.free:
            self._limiter.free -= 1
        else:
            await self._limiter.wait(math.inf)
        try:
            if mutates and self._wait is not None:
                return await self._confirmed(client, self._wait, route, words)
            return await client.execute_command(*words, **options)
        except exceptions.NoScriptError:
            raise
        except AqeError:
            raise
        except FAILURES as error:
            # A connection that could not be made carried nothing.
            sent = mutates and " connecting to " not in str(error)
            raise explain(error, self.where, sent=sent) from error
        finally:
            self._limiter.release()

    async def _confirmed(
        self, client: RedisCluster, wait: Wait, route: str, words: tuple[Any, ...]
    ) -> Any:  # noqa: ANN401
        """Send a change and WAIT on one connection to the node that serves ``route``."""
        if self._is_lost:
            await self._look_for(client, route)
        node: Any = client.get_node_from_key(route)
        place, asking = (str(node.host), int(node.port)), False
        for _ in range(_REDIRECTIONS):
            try:
                return await self._exchange(client, place, wait, words, asking=asking)
            except exceptions.AskError as error:
                # MOVED is one of them: it is elsewhere for good.
                self._is_lost = self._is_lost or isinstance(error, exceptions.MovedError)
                asking = not isinstance(error, exceptions.MovedError)
                place = (error.host, error.port)
        msg = f"{self.where}: was sent from node to node; nothing was changed"
        raise BackendUnavailableError(msg)

    async def _look_for(self, client: RedisCluster, route: str) -> None:
        """Have the driver find out who serves ``route`` now, by its own means."""
        try:
            await client.execute_command("EXISTS", route)
        except FAILURES as error:
            raise explain(error, self.where, sent=False) from error
        self._is_lost = False

    async def _exchange(
        self,
        client: RedisCluster,
        place: tuple[str, int],
        wait: Wait,
        words: tuple[Any, ...],
        *,
        asking: bool,
    ) -> Any:  # noqa: ANN401
        pool = self._pools.get(place)
        if pool is None:

            async def open_connection() -> driver.Connection:
                kind, settings = self._kind_of(client)
                return await _connected(kind(**{**settings, "host": place[0], "port": place[1]}))

            pool = Pool(open_connection, is_closed=_is_closed, drop=drop, size=self._limiter.limit)
            self._pools[place] = pool
        try:
            connection = await pool.acquire()
        except FAILURES as error:
            self._is_lost = True
            raise explain(error, self.where, sent=False) from error
        try:
            answer, told = await exchange(connection, words, wait, asking=asking)
        except BaseException as error:
            self._is_lost = self._is_lost or not isinstance(error, exceptions.ResponseError)
            await drop(connection)
            raise
        finally:
            released = pool.release(connection)
            if released is not None:
                await released
        wait.check(told, self.where)
        return answer

    @staticmethod
    def _kind_of(client: RedisCluster) -> tuple[Any, dict[str, Any]]:
        """Return what connections to nodes are made of."""
        node = next(iter(client.get_nodes()))
        return node.connection_class, node.connection_kwargs

    async def connect(self) -> driver.Connection:
        """Open a connection to one of the nodes: what is published reaches all of them."""
        client = cast("RedisCluster", self._client)
        node = random.choice(client.get_primaries())  # noqa: S311 - any will do
        return await _connected(node.connection_class(**node.connection_kwargs))


_HINT_REPLICA = "; it is a replica: name the primary, or the Sentinels by redis+sentinel://"


def _is_answer(reason: str, words: tuple[str, ...]) -> bool:
    """Whether an answer begins with one of the words, also that of a command in a script."""
    found = _IN_SCRIPT.match(reason)
    return reason.startswith(words, found.end() if found else 0)


def explain(error: Exception, where: str, *, sent: bool) -> Exception:  # noqa: PLR0911 - a table
    """Return the package's error for one of the driver's.

    ``sent``: a change was on its way, so a lost connection leaves its outcome unknown. When the
    server itself refuses, it changed nothing.
    """
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError) or (
        isinstance(error, exceptions.RedisError) and reason.startswith(_ACCESS)
    ):
        return AccessDeniedError(f"{where}: {reason}; check user, password and permissions")
    if isinstance(error, exceptions.RedisClusterException) and "not enabled" in reason:
        return ConfigurationError(f"{where}: {reason}; write redis:// for a single server")
    if isinstance(error, exceptions.MovedError):
        return ConfigurationError(f"{where}: is a node of a cluster; write redis+cluster://")
    if isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError):
        if isinstance(error, exceptions.OutOfMemoryError) or _is_answer(reason, ("OOM",)):
            return BackendFullError(
                f"{where}: {reason}; nothing was changed; delete, clear a partition, let what has "
                "a TTL expire, or raise maxmemory"
            )
        if _is_answer(reason, _LATER) or isinstance(error, _NOT_NOW):
            hint = (
                _HINT_REPLICA
                if _is_answer(reason, ("READONLY",)) or isinstance(error, exceptions.ReadOnlyError)
                else ""
            )
            return BackendUnavailableError(f"{where}: {reason}; nothing was changed{hint}")
        if "DB index is out of range" in reason:
            return ConfigurationError(f"{where}: {reason}; name a database that it has")
        return AqeError(f"{where}: {reason}; nothing was changed")
    if sent and not isinstance(error, _NOT_SENT):
        return OutcomeUnknownError(
            f"{where}: the connection was lost ({reason}) before the answer came; the change may "
            "or may not have been applied; read the entry to find out",
        )
    return BackendUnavailableError(f"{where}: {reason}; check that it is up and reachable")
