"""The servers of a chaos run, and how each fault is brought about there and ended again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import redis.asyncio
from redis.exceptions import RedisError
from tests.chaos import small_disk
from tests.chaos.fault_plan import DISK_FULL, SLOTS_MOVE
from tests.chaos.slot_moves import move_slots
from tests.chaos.takeovers import REPLICATED, switch_cluster, switch_pair, switch_sentinels

from lionagi_qe.testing.faults import FaultProxy
from lionagi_qe.testing.servers import (
    PgBouncer,
    PostgresPair,
    PostgresServer,
    RedisCluster,
    RedisSentinels,
    RedisServer,
    Server,
    available_redis_servers,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Generator,
        Mapping,
        Sequence,
    )
    from pathlib import Path

    from tests.chaos.fault_plan import Fault

_LATENCY, _DRIP = 0.15, 2_000.0
_FLAVOURS = [server.flavour for server in available_redis_servers()]


@dataclass
class Target:
    """A server, or several alike, behind proxies.

    Attributes:
        nodes: its processes.
        proxies: what clients connect to.
        specific: the faults that only this kind of server has; each begins, and returns its end.
        whole: those of them that see to their end themselves.
        restored: what has to be done again when a node was started anew.
    """

    nodes: Sequence[Server]
    proxies: Sequence[FaultProxy]
    specific: Mapping[str, Callable[[Any], Awaitable[Callable[[], Awaitable[None]]]]]
    restored: Callable[[], Awaitable[None]] | None = None
    whole: Mapping[str, Callable[[Fault], Awaitable[None]]] = field(default_factory=dict)

    async def inflict(self, fault: Fault) -> None:
        """Begin the fault, wait as long as it lasts, and end it."""
        node = self.nodes[fault.choice % len(self.nodes)]
        if fault.kind in self.whole:
            await self.whole[fault.kind](fault)
        elif fault.kind in self.specific:
            end = await self.specific[fault.kind](node)
            await asyncio.sleep(fault.lasts)
            await end()
        elif fault.kind == "kill":
            await asyncio.to_thread(node.kill)
            await asyncio.sleep(fault.lasts)
            await asyncio.to_thread(node.start)
            if self.restored is not None:
                await self.restored()
        elif fault.kind == "stop":
            await asyncio.to_thread(node.pause)
            await asyncio.sleep(fault.lasts)
            await asyncio.to_thread(node.resume)
        else:
            for proxy in self.proxies:
                _disturb(proxy, fault)
            await asyncio.sleep(fault.lasts)
            for proxy in self.proxies:
                proxy.pass_through()


def _disturb(proxy: FaultProxy, fault: Fault) -> None:
    match fault.kind:
        case "latency":
            proxy.latency(_LATENCY)
        case "blackhole":
            proxy.blackhole()
        case "answers lost":
            proxy.blackhole("to_client")
        case "reset":
            proxy.reset()
        case "refuse":
            proxy.refuse()
        case "half-open":
            proxy.half_open()
        case "slow drip":
            proxy.drip(_DRIP)
        case _:
            raise ValueError(fault.kind)


@dataclass
class System:
    """What a run works on.

    Attributes:
        url: for clients, through proxies.
        direct: for the scheduler, past all faults.
        cache: of the cache in front, if any.
        targets: by the names that plans have for them.
        versions: of the servers.
        max_stale: what it promises about reads.
    """

    url: str
    direct: str
    targets: dict[str, Target]
    versions: str
    cache: str | None = None
    max_stale: float = 0.0
    clients: Mapping[str, str] = field(default_factory=dict)


# PostgreSQL


def _postgres_faults(server: PostgresServer) -> dict[str, Any]:
    async def use_up(_: Any) -> Callable[[], Awaitable[None]]:
        taken: list[asyncpg.Connection[Any]] = []
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            while True:
                taken.append(await asyncpg.connect(server.url, timeout=5))

        async def give_back() -> None:
            for connection in taken:
                connection.terminate()

        return give_back

    async def close(_: Any) -> Callable[[], Awaitable[None]]:
        connection = await asyncpg.connect(server.url, timeout=5)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await connection.close()
        return _nothing

    return {"connections used up": use_up, "connections closed": close}


async def _nothing() -> None:
    """End what has ended by itself."""


def _filling(path: Path) -> dict[str, Any]:
    async def fill_up(_: Any) -> Callable[[], Awaitable[None]]:
        filler = await asyncio.to_thread(small_disk.fill, path)

        async def make_room() -> None:
            await asyncio.to_thread(filler.unlink)

        return make_room

    return {DISK_FULL: fill_up}


@contextmanager
def _server_on_a_small_disk() -> Generator[tuple[PostgresServer, Path]]:
    """Its tables alone: PostgreSQL ends where its log finds no room, and nobody answers."""
    with small_disk.folder() as path, PostgresServer(settings={"max_connections": "60"}) as server:
        if small_disk.may_mount():
            server.execute(f"CREATE TABLESPACE small LOCATION '{path}'")
            server.execute("ALTER DATABASE postgres SET default_tablespace = small")
        yield server, path


@asynccontextmanager
async def _postgres() -> AsyncGenerator[System]:
    with _server_on_a_small_disk() as (server, path):
        async with FaultProxy.for_url(server.url) as proxy:
            faults = {**_postgres_faults(server), **_filling(path)}
            target = Target([server], [proxy], faults)
            yield System(proxy.url, server.url, {"server": target}, f"PostgreSQL {server.version}")


@asynccontextmanager
async def _pgbouncer() -> AsyncGenerator[System]:
    """Connections that belong to whoever has a transaction; twenty for all clients."""
    with (
        PostgresServer(settings={"max_connections": "60"}) as server,
        PgBouncer(server, "transaction") as pooler,
    ):
        async with FaultProxy.for_url(pooler.url) as proxy:
            targets = {
                "server": Target([server], [], _postgres_faults(server)),
                "pooler": Target([pooler], [proxy], {}),
            }
            version = f"PgBouncer {pooler.version} (transaction), PostgreSQL {server.version}"
            yield System(proxy.url, server.url, targets, version)


# Redis


def _redis_faults() -> dict[str, Any]:
    def client_of(node: RedisServer) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(port=node.port, socket_timeout=5, protocol=2)

    async def use_up(node: RedisServer) -> Callable[[], Awaitable[None]]:
        kept = client_of(node)
        before = (await kept.config_get("maxclients"))["maxclients"]
        # Those that are connected stay, us among them.
        await kept.config_set("maxclients", "1")

        async def give_back() -> None:
            await kept.config_set("maxclients", before)
            await kept.aclose()

        return give_back

    async def close(node: RedisServer) -> Callable[[], Awaitable[None]]:
        async with client_of(node) as client:
            await client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        return _nothing

    async def fill(node: RedisServer) -> Callable[[], Awaitable[None]]:
        async with client_of(node) as client:
            used = (await client.info("memory"))["used_memory"]
            await client.config_set("maxmemory-policy", "noeviction")
            await client.config_set("maxmemory", str(used))

        async def make_room() -> None:
            async with client_of(node) as client:
                await client.config_set("maxmemory", "0")

        return make_room

    async def flush(node: RedisServer) -> Callable[[], Awaitable[None]]:
        async with client_of(node) as client:
            await client.flushall()
        return _nothing

    return {
        "connections used up": use_up,
        "connections closed": close,
        "full": fill,
        "flush": flush,
    }


@asynccontextmanager
async def _redis() -> AsyncGenerator[System]:
    with RedisServer(appendfsync="always") as server:
        async with FaultProxy.for_url(server.url) as proxy:
            target = Target([server], [proxy], _redis_faults())
            yield System(proxy.url, server.url, {"server": target}, f"Redis {server.version}")


@asynccontextmanager
async def _cluster() -> AsyncGenerator[System]:
    async with AsyncExitStack() as stack:
        cluster = stack.enter_context(RedisCluster(settings={"appendfsync": "always"}))
        proxies = [
            await stack.enter_async_context(FaultProxy("127.0.0.1", node.port))
            for node in cluster.nodes
        ]

        async def announce() -> None:
            """Have clients be sent to the proxies instead of the nodes themselves."""
            for node, proxy in zip(cluster.nodes, proxies, strict=True):
                for name, value in (
                    ("cluster-announce-bus-port", node.port + 10_000),
                    ("cluster-announce-port", proxy.port),
                ):
                    with contextlib.suppress(RedisError):
                        await asyncio.to_thread(node.execute, "CONFIG", "SET", name, str(value))

        await announce()
        await asyncio.to_thread(cluster._await_agreement)

        async def move(fault: Fault) -> None:
            await move_slots(cluster.nodes, fault.choice, fault.lasts)

        target = Target(cluster.nodes, proxies, _redis_faults(), announce, {SLOTS_MOVE: move})
        url = f"redis+cluster://127.0.0.1:{proxies[0].port}?colocate=2"
        yield System(url, url, {"server": target}, f"Redis Cluster {cluster.version}")


# SQLite, and a cache over PostgreSQL


@asynccontextmanager
async def _sqlite() -> AsyncGenerator[System]:
    with small_disk.folder() as folder:
        path = folder / "memory.db"

        async def lock(_: Any) -> Callable[[], Awaitable[None]]:
            def take() -> sqlite3.Connection:
                connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
                connection.isolation_level = None
                connection.execute("BEGIN EXCLUSIVE")
                return connection

            connection = await asyncio.to_thread(take)

            async def give_back() -> None:
                connection.rollback()
                connection.close()

            return give_back

        from apsw import sqlite_lib_version

        url = f"sqlite:///{path}"
        faults = {"locked": lock, **_filling(folder)}
        target = Target([None], [], faults)  # type: ignore[list-item]
        yield System(url, url, {"server": target}, f"SQLite {sqlite_lib_version()}")


@asynccontextmanager
async def _hybrid() -> AsyncGenerator[System]:
    async with AsyncExitStack() as stack:
        durable = await stack.enter_async_context(_postgres())
        cache = await stack.enter_async_context(_redis())
        yield System(
            durable.url,
            durable.direct,
            {"server": durable.targets["server"], "cache": cache.targets["server"]},
            f"{durable.versions} behind {cache.versions}",
            cache=cache.url,
            max_stale=1.0,
        )


# Servers that take over from each other, as in the drill


def _switching(switch: Callable[[bool], Awaitable[None]]) -> Target:
    def begin(crash: bool) -> Callable[[Any], Awaitable[Callable[[], Awaitable[None]]]]:
        async def act(_: Any) -> Callable[[], Awaitable[None]]:
            await switch(crash)
            return _nothing

        return act

    specific = {"switch-over": begin(False), "crash": begin(True)}
    return Target([None], [], specific)  # type: ignore[list-item]


@asynccontextmanager
async def _postgres_pair() -> AsyncGenerator[System]:
    with PostgresPair() as pair:

        async def switch(crash: bool) -> None:
            await switch_pair(pair, crash=crash)

        version = f"PostgreSQL {pair.primary.version}, primary and standby"
        yield System(pair.url, pair.url, {"server": _switching(switch)}, version)


@asynccontextmanager
async def _sentinel() -> AsyncGenerator[System]:
    with RedisSentinels(_FLAVOURS[-1], settings=REPLICATED) as servers:

        async def switch(crash: bool) -> None:
            await switch_sentinels(servers, crash=crash)

        url = f"{servers.url}?wait_replicas=1"
        version = f"{_FLAVOURS[-1]} {servers.primary.version}, 2 replicas, 3 Sentinels"
        yield System(url, url, {"server": _switching(switch)}, version)


@asynccontextmanager
async def _cluster_pairs() -> AsyncGenerator[System]:
    with RedisCluster(_FLAVOURS[0], replicas=1, settings=REPLICATED) as nodes:

        async def switch(crash: bool) -> None:
            await switch_cluster(nodes, crash=crash)

        url = f"{nodes.url}?wait_replicas=1&colocate=2"
        version = f"Redis Cluster {nodes.version}, 3 primaries, 3 replicas"
        yield System(url, url, {"server": _switching(switch)}, version)


SYSTEMS = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "pgbouncer": _pgbouncer,
    "redis": _redis,
    "cluster": _cluster,
    "hybrid": _hybrid,
    "postgresql-pair": _postgres_pair,
    "sentinel": _sentinel,
    "cluster-pairs": _cluster_pairs,
}
