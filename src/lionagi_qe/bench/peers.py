"""Other projects' stores, used as their documentation says; each only if it is installed."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import AsyncExitStack, contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import asyncpg
import redis.asyncio as redis

from lionagi_qe.bench.contender import Contender, Kind

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_GROUP_LIMIT = 1_000
_DEQUEUE_SECONDS = 1.0
_MAY_CHANGE = "A configured store is unstable"
_USES_DEPRECATED = "Call to deprecated setex"


def installed(*packages: str) -> bool:
    """Whether all of these distributions are installed; imports nothing."""
    try:
        for package in packages:
            version(package)
    except PackageNotFoundError:
        return False
    return True


@contextmanager
def _unwarned(message: str) -> Generator[None]:
    """Keep a peer's warning about itself from the benchmark's output."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message)
        yield


class LangGraph(Contender):
    """LangGraph's AsyncPostgresStore with a pool; a key's folder is its namespace."""

    name = "LangGraph"
    kind = Kind.PEER
    package = "langgraph-checkpoint-postgres"

    def __init__(self, url: str, pool_size: int) -> None:
        self._url = url
        self._pool = {"min_size": pool_size, "max_size": pool_size}
        self._stack = AsyncExitStack()
        self._store: Any = None
        self._put: Any = None

    async def open(self) -> None:
        """Open the pool and migrate."""
        module = import_module("langgraph.store.postgres.aio")
        self._put = import_module("langgraph.store.base").PutOp
        self._store = await self._stack.enter_async_context(
            module.AsyncPostgresStore.from_conn_string(self._url, pool_config=self._pool)
        )
        await self._store.setup()

    async def close(self) -> None:
        """Close the pool."""
        await self._stack.aclose()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Put one item."""
        namespace, name = _split(key)
        await self._store.aput(namespace, name, value)

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Get one item's value."""
        namespace, name = _split(key)
        return (await self._store.aget(namespace, name)).value

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Put all items in one batch."""
        await self._store.abatch([self._put(*_split(key), value) for key, value in items.items()])

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """Search a namespace."""
        namespace = tuple(prefix.rstrip("/").split("/"))
        found = await self._store.asearch(namespace, limit=_GROUP_LIMIT)
        return {item.key: item.value for item in found}


def _split(key: str) -> tuple[tuple[str, ...], str]:
    *namespace, name = key.split("/")
    return tuple(namespace), name


class Saq(Contender):
    """SAQ's queue on PostgreSQL or Redis, and workers that do what its own do with a job."""

    name = "SAQ"
    kind = Kind.PEER
    package = "saq"

    def __init__(self, url: str, name: str, **settings: int) -> None:
        self._url = url
        self._settings = {"name": name, **settings}
        self._queue: Any = None
        self._complete: Any = None

    async def open(self) -> None:
        """Connect and migrate."""
        self._complete = import_module("saq").Status.COMPLETE
        self._queue = import_module("saq").Queue.from_url(self._url, **self._settings)
        await self._queue.connect()

    async def close(self) -> None:
        """Disconnect."""
        await self._queue.disconnect()

    async def put_job(self, payload: Mapping[str, Any]) -> None:
        """Enqueue a job."""
        await self._queue.enqueue("bench", payload=payload)

    async def do_jobs(self, count: int, concurrency: int) -> None:
        """Dequeue and finish jobs in so many tasks."""
        turns = iter(range(count))

        async def work() -> None:
            for _ in turns:
                job = None
                while job is None:
                    job = await self._queue.dequeue(timeout=_DEQUEUE_SECONDS)
                await self._queue.finish(job, self._complete)

        with _unwarned(_USES_DEPRECATED):
            await asyncio.gather(*(work() for _ in range(concurrency)))


class _KeyValue(Contender):
    """One of py-key-value's stores, one collection."""

    name = "py-key-value"
    kind = Kind.PEER
    package = "py-key-value-aio"

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._store: Any = None

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Put one value."""
        await self._store.put(key, value, collection=self._collection)

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Get one value."""
        return await self._store.get(key, collection=self._collection)

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Put many values."""
        await self._store.put_many(list(items), list(items.values()), collection=self._collection)


class KeyValuePostgres(_KeyValue):
    """py-key-value's PostgreSQLStore on an asyncpg pool."""

    def __init__(self, dsn: str, schema: str, pool_size: int) -> None:
        super().__init__("bench")
        self._dsn = dsn
        self._schema = schema
        self._size = pool_size
        self._pool: Any = None

    async def open(self) -> None:
        """Fill the pool and make the table."""
        module = import_module("key_value.aio.stores.postgresql")
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=self._size,
            max_size=self._size,
            server_settings={"search_path": self._schema},
        )
        # It looks for its table's name in all schemas.
        with _unwarned(_MAY_CHANGE):
            self._store = module.PostgreSQLStore(pool=self._pool, table_name=f"{self._schema}_kv")
        await self._store.setup()

    async def close(self) -> None:
        """Empty the pool."""
        await self._pool.close()


class KeyValueRedis(_KeyValue):
    """py-key-value's RedisStore on a blocking pool."""

    def __init__(self, url: str, collection: str, pool_size: int) -> None:
        super().__init__(collection)
        self._url = url
        self._size = pool_size
        self._client: Any = None

    async def open(self) -> None:
        """Make pool and store; it wants its answers decoded."""
        pool = redis.BlockingConnectionPool.from_url(
            self._url, max_connections=self._size, timeout=None, decode_responses=True
        )
        self._client = redis.Redis.from_pool(pool)
        module = import_module("key_value.aio.stores.redis")
        with _unwarned(_MAY_CHANGE):
            self._store = module.RedisStore(client=self._client)

    async def close(self) -> None:
        """Empty the pool."""
        await self._client.aclose()
