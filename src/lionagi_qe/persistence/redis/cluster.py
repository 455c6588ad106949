"""Connections to a Redis Cluster."""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING, Any, cast

from redis import exceptions
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import SSLConnection

from lionagi_qe.errors import AqeError, BackendUnavailableError
from lionagi_qe.persistence.redis.connection import (
    connect,
    connected,
    drop,
    introduced,
    is_closed,
    make,
    parse_info,
    refuse_if_tls,
    settled,
)
from lionagi_qe.persistence.redis.replicas import ask, exchange
from lionagi_qe.persistence.redis.sending import telling_loss
from lionagi_qe.persistence.redis.server_errors import FAILURES, explain, is_elsewhere
from lionagi_qe.persistence.server_support.limiter import Limiter
from lionagi_qe.persistence.server_support.pool import Pool
from lionagi_qe.persistence.server_support.tls import tls_refusal

if TYPE_CHECKING:
    import redis.asyncio as driver

    from lionagi_qe.persistence.redis.replicas import Wait

# How often a call follows a cluster's word that a slot is elsewhere.
_REDIRECTIONS = 5


class _FirstIsKey:
    """Tells the driver where the key of a command is, in place of its own table of all commands.

    To read that takes longer than all else of opening a cluster, and all that the driver is left to
    find the node of is EXISTS.
    """

    async def initialize(self, node: object = None) -> None:
        """Ask for nothing."""

    async def get_keys(self, *words: Any) -> tuple[Any, ...]:  # noqa: ANN401
        """Return the word behind the command's name."""
        return words[1:2]


class ClusterLink:
    """A client of a Redis Cluster, which knows which node serves which key.

    Args:
        settings: of the driver's client.
        pool_size: a fourth of the most connections to a node.
        wait: as for ServerLink; of each shard.
    """

    has_database = False
    knows_replicas = True
    moves_slots = True

    def __init__(
        self, settings: dict[str, Any], *, pool_size: int, wait: Wait | None = None
    ) -> None:
        self._settings = settings
        self._wait = wait
        # The driver can't say two things on one connection, so these are ours.
        self._pools: dict[tuple[str, int], Pool[driver.Connection]] = {}
        # Nodes that may serve no more what they did; who asks next finds out, one at a time.
        self._lost: dict[tuple[str, int], asyncio.Lock] = {}
        # The driver refuses a call beyond a node's connections; ours wait for their turn.
        self._limiter = Limiter(pool_size * 4)
        self._client: RedisCluster | None = None
        host = settings.get("host", "localhost")
        self.where = f"Redis Cluster at {host}:{settings.get('port', 6379)}"

    async def open(self) -> None:
        """Find the nodes."""
        ours = {
            # Ours are counted by the limiter. The driver, before 8.1, counts each that it could not
            # make as one that is in use, for ever: after some, a cluster that is back stays away.
            "max_connections": 2**31,
            "require_full_coverage": True,
        }
        self._client = make(
            RedisCluster, **introduced(settled(self._settings) | ours, RedisCluster)
        )
        self._client.commands_parser = cast("Any", _FirstIsKey())
        try:
            await self._greet()
            await self._client.initialize()
        except FAILURES as error:
            told = explain(error, self.where, sent=False)
            if isinstance(told, BackendUnavailableError) and not self._settings.get("ssl"):
                await refuse_if_tls([self._first()], self.where, "rediss+cluster", error)
            raise told from error

    async def _greet(self) -> None:
        """Find out by a connection of our own whether the first node speaks TLS as we do.

        The driver waits for a handshake that never ends, and tells nothing of one that failed.
        """
        host, port = self._first()
        if self._settings.get("ssl"):
            settings = {name: value for name, value in self._settings.items() if name != "ssl"}
            settings |= {"connection_class": SSLConnection, "host": host, "port": port}
            try:
                await drop(await connect(settings))
            except FAILURES as error:
                # Another node may be found where this one is away.
                if tls_refusal(error) is not None:
                    raise

    def _first(self) -> tuple[str, int]:
        """Return where the node is that the caller named."""
        return str(self._settings.get("host", "localhost")), int(self._settings.get("port", 6379))

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
            if options:
                return await telling_loss(client.execute_command(*words, **options))
            # Not by the driver's own connections: it closes all of them where one call fails, those
            # of other calls as well, each of which fails then, and has it do so again. A watch that
            # reads all shards at once would never get through.
            wait = self._wait if mutates else None
            return await self._routed(client, wait, route, words)
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

    async def info(self) -> list[dict[str, str]]:
        """Return what each primary tells of itself."""
        nodes: list[Any] = cast("RedisCluster", self._client).get_primaries()
        return [parse_info(answer) for answer in await self._ask_all(nodes, ("INFO",))]

    async def everywhere(self, *words: Any) -> list[Any]:  # noqa: ANN401
        """Send one command to each node; all are asked before the first error is raised."""
        return await self._ask_all(cast("RedisCluster", self._client).get_nodes(), words)

    async def _ask_all(self, nodes: list[Any], words: tuple[Any, ...]) -> list[Any]:
        client = cast("RedisCluster", self._client)
        answers = await asyncio.gather(
            *(
                self._exchange(client, (str(each.host), int(each.port)), None, words, asking=False)
                for each in nodes
            ),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, FAILURES):
                raise explain(answer, self.where, sent=False) from answer
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def figures(self) -> dict[str, int]:
        """Return how many connections there are to all nodes, the limit being that of each."""
        pools = [pool.figures() for pool in self._pools.values()]
        return {
            "connections": sum(each["connections"] for each in pools),
            "idle": sum(each["idle"] for each in pools),
            "limit": self._limiter.limit,
            "waiting": self._limiter.waiting + sum(each["waiting"] for each in pools),
        }

    async def _routed(
        self, client: RedisCluster, wait: Wait | None, route: str, words: tuple[Any, ...]
    ) -> Any:  # noqa: ANN401
        """Send a command, and WAIT for a change, on one connection to who serves ``route``."""
        place, asking = self._place_of(client, route), False
        if place in self._lost:
            await self._look_for(client, route, place)
            place = self._place_of(client, route)
        for _ in range(_REDIRECTIONS):
            try:
                return await self._exchange(client, place, wait, words, asking=asking)
            except exceptions.AskError as error:
                # MOVED is one of them: it is elsewhere for good.
                asking = not isinstance(error, exceptions.MovedError)
                if not asking:
                    self._lose(place)
                # A node that names no host means its own.
                place = (error.host or place[0], error.port)
        msg = f"{self.where}: was sent from node to node; nothing was changed"
        raise BackendUnavailableError(msg)

    @staticmethod
    def _place_of(client: RedisCluster, route: str) -> tuple[str, int]:
        node: Any = client.get_node_from_key(route)
        return str(node.host), int(node.port)

    def _lose(self, place: tuple[str, int]) -> None:
        self._lost.setdefault(place, asyncio.Lock())

    async def _look_for(self, client: RedisCluster, route: str, place: tuple[str, int]) -> None:
        """Have the driver find out, by its own means and once for all, who serves ``route`` now.

        Who asks other nodes doesn't wait for it: this one may be silent.
        """
        async with self._lost[place]:
            if place not in self._lost:
                return
            try:
                await telling_loss(client.execute_command("EXISTS", route))
            except FAILURES as error:
                raise explain(error, self.where, sent=False) from error
            self._lost.pop(place, None)

    async def _exchange(
        self,
        client: RedisCluster,
        place: tuple[str, int],
        wait: Wait | None,
        words: tuple[Any, ...],
        *,
        asking: bool,
    ) -> Any:  # noqa: ANN401
        pool = self._pools.get(place)
        if pool is None:

            async def open_connection() -> driver.Connection:
                kind, settings = self._kind_of(client)
                return await connected(kind(**{**settings, "host": place[0], "port": place[1]}))

            pool = Pool(open_connection, is_closed=is_closed, drop=drop, size=self._limiter.limit)
            self._pools[place] = pool
        try:
            connection = await pool.acquire()
        except FAILURES as error:
            self._lose(place)
            raise explain(error, self.where, sent=False) from error
        told: Any = None
        try:
            if wait is None:
                answer = await ask(connection, words, asking=asking)
            else:
                answer, told = await exchange(connection, words, wait, asking=asking)
        except exceptions.ResponseError as error:
            # It was answered whole, so that the connection is as good as before.
            if is_elsewhere(error):
                self._lose(place)
                await drop(connection)
            raise
        except BaseException:
            self._lose(place)
            await drop(connection)
            raise
        finally:
            released = pool.release(connection)
            if released is not None:
                await released
        if wait is not None:
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
        return await connected(node.connection_class(**node.connection_kwargs))
