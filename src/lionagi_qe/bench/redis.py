"""The arena on one Redis server, and the plain driver there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
import redis.asyncio as driver
from redis.exceptions import RedisError, ResponseError

from lionagi_qe.bench.arena import Arena
from lionagi_qe.bench.contender import Contender, Kind
from lionagi_qe.bench.memory import OurMemory
from lionagi_qe.bench.peers import KeyValueRedis, Saq, installed
from lionagi_qe.persistence.redis.server_errors import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

POOL_SIZE = 64
_SCAN_COUNT = 1_000
_USUAL_DATABASES = 16
_OWN_OPTIONS = frozenset({"shards", "pool_size"})


class PlainRedis(Contender):
    """A blocking pool of 64 and the best single command for each call; strings hold the JSON."""

    name = "redis-py"
    kind = Kind.DRIVER
    package = "redis"

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._prefix = f"{token}:"
        self._client: Any = None

    async def open(self) -> None:
        """Make the pool."""
        self._client = _client(self._url, POOL_SIZE)

    async def close(self) -> None:
        """Empty the pool."""
        await self._client.aclose()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """SET one string."""
        await self._client.set(self._prefix + key, orjson.dumps(value))

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """GET one string."""
        return orjson.loads(await self._client.get(self._prefix + key))

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """SET all in one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value in items.items():
            pipeline.set(self._prefix + key, orjson.dumps(value))
        await pipeline.execute()

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """SCAN the database for keys that match, and MGET them."""
        names = [
            name
            async for name in self._client.scan_iter(f"{self._prefix}{prefix}*", count=_SCAN_COUNT)
        ]
        values = await self._client.mget(names) if names else []
        first = len(self._prefix)
        return {
            name.decode()[first:]: orjson.loads(value)
            for name, value in sorted(zip(names, values, strict=True))
        }


class RedisArena(Arena):
    """Keys with a prefix of their own.

    Ours are in the database that the URL names, each other contender's in an empty one while the
    server has some, so that nobody's SCAN walks over the others' keys.
    """

    backend = "redis"

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        options = [pair for pair in parse_qsl(parts.query) if pair[0] not in _OWN_OPTIONS]
        self._ours = url
        self._url = urlunsplit(parts._replace(query=urlencode(options)))
        self._where = f"Redis at {parts.hostname}:{parts.port or 6379}"
        self._client: Any = None
        self._empty: list[int] = []
        self._used = [self._url]

    async def enter(self) -> None:
        """Connect and look for empty databases."""
        self._client = _client(self._url, 1)
        try:
            taken = await self._client.info("keyspace")
            own = self._client.connection_pool.connection_kwargs.get("db") or 0
            self._empty = [
                number
                for number in range(await self._databases())
                if number != own and f"db{number}" not in taken
            ]
        except (RedisError, OSError) as error:
            raise explain(error, self._where, sent=False) from error

    async def _databases(self) -> int:
        try:
            answer = await self._client.config_get("databases")
        except ResponseError:
            # The server does not let us look.
            return _USUAL_DATABASES
        return int(answer.get("databases", _USUAL_DATABASES))

    def _own_database(self) -> str:
        """Return the URL of an empty database, or of the common one if there is none left."""
        if not self._empty:
            return self._url
        url = urlunsplit(urlsplit(self._url)._replace(path=f"/{self._empty.pop()}"))
        self._used.append(url)
        return url

    async def leave(self) -> None:
        """Remove every key that bears the token."""
        for url in self._used:
            client = _client(url, 1)
            names: list[bytes] = []
            async for name in client.scan_iter(f"*{self.token}*", count=_SCAN_COUNT):
                names.append(name)
                if len(names) == _SCAN_COUNT:
                    await client.unlink(*names)
                    names.clear()
            if names:
                await client.unlink(*names)
            await client.aclose()
        await self._client.aclose()

    @property
    def memory_url(self) -> str:
        """The URL as it was given."""
        return self._ours

    def contenders(self) -> list[Contender]:
        """Return ours, redis-py, and what is installed of py-key-value and SAQ."""
        found: list[Contender] = [
            OurMemory(self.memory_url, self.token),
            PlainRedis(self._own_database(), self.token),
        ]
        if installed("py-key-value-aio"):
            found.append(KeyValueRedis(self._own_database(), self.token, POOL_SIZE))
        if installed("saq"):
            found.append(Saq(self._own_database(), self.token))
        return found

    async def describe(self) -> dict[str, Any]:
        """Tell the version and how the server persists."""
        server = await self._client.info("server")
        persistence = await self._client.info("persistence")
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = server.get("valkey_version") or server["redis_version"]
        facts = {"server": f"{name} {version}", "aof_enabled": bool(persistence["aof_enabled"])}
        try:
            return facts | await self._client.config_get("appendfsync")
        except ResponseError:
            return facts


def _client(url: str, size: int) -> Any:  # noqa: ANN401 - the driver's client
    pool = driver.BlockingConnectionPool.from_url(url, max_connections=size, timeout=None)
    return driver.Redis.from_pool(pool)
