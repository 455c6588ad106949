"""Servers that somebody else runs, and the choice between those and our own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.testing.servers.cluster import RedisCluster
from lionagi_qe.testing.servers.postgres import PostgresDatabases, PostgresServer
from lionagi_qe.testing.servers.redis import RedisServer, redis_version

if TYPE_CHECKING:
    from types import TracebackType

POSTGRES_VARIABLE = "TEST_POSTGRES_URL"
REDIS_VARIABLE = "TEST_REDIS_URL"
CLUSTER_VARIABLE = "TEST_REDIS_CLUSTER_URL"


class External:
    """A server that is used as it is and never stopped nor emptied.

    Args:
        url: where it is.

    """

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the server running."""


class ExternalPostgres(External, PostgresDatabases):
    """A PostgreSQL server of somebody else's; its user must be allowed to create databases."""


class ExternalRedis(External):
    """A Redis server or Redis Cluster of somebody else's."""

    @property
    def version(self) -> str:
        """The version that the server tells."""
        return redis_version(self._url.replace("+cluster", "", 1))


def find_postgres() -> PostgresServer | ExternalPostgres:
    """Return the server named by ``$TEST_POSTGRES_URL``, else one of our own, not yet started.

    Raises:
        ConfigurationError: the variable holds no URL of PostgreSQL.

    """
    url = _from_environment(POSTGRES_VARIABLE, "postgresql", "postgres")
    return PostgresServer() if url is None else ExternalPostgres(url)


def find_redis() -> RedisServer | ExternalRedis:
    """Return the server named by ``$TEST_REDIS_URL``, else one of our own, not yet started.

    Raises:
        ConfigurationError: the variable holds no URL of Redis.

    """
    url = _from_environment(REDIS_VARIABLE, "redis", "rediss")
    return RedisServer() if url is None else ExternalRedis(url)


def find_redis_cluster() -> RedisCluster | ExternalRedis:
    """Return the cluster of ``$TEST_REDIS_CLUSTER_URL``, else one of our own, not yet started.

    Raises:
        ConfigurationError: the variable holds no URL of a Redis Cluster.

    """
    url = _from_environment(CLUSTER_VARIABLE, "redis+cluster", "rediss+cluster")
    return RedisCluster() if url is None else ExternalRedis(url)


def _from_environment(variable: str, *schemes: str) -> str | None:
    url = os.environ.get(variable)
    if not url:
        return None
    if urlsplit(url).scheme not in schemes:
        # The URL itself may hold a password.
        msg = f"${variable} must be a URL that starts with {schemes[0]}://; correct or unset it"
        raise ConfigurationError(msg)
    return url
