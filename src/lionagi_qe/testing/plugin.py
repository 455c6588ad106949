"""The pytest plugin: fixtures for real servers and for faults between them and a client.

pytest loads this module at every start, so it imports nothing that costs: each fixture imports
what it needs. Each worker of pytest-xdist has servers of its own; where a URL in the environment
names one server for all, each has a database (PostgreSQL) or uses a fleet (Redis) of its own.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lionagi_qe.testing.faults import FaultProxy
    from lionagi_qe.testing.servers import (
        ExternalPostgres,
        ExternalRedis,
        PostgresServer,
        RedisCluster,
        RedisServer,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer | ExternalPostgres]:
    """A running PostgreSQL server, shared by the session; don't stop it (see own_postgres)."""
    from lionagi_qe.testing.servers import find_postgres

    with find_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer | ExternalRedis]:
    """A running Redis server, shared by the session; don't stop it (see own_redis)."""
    from lionagi_qe.testing.servers import find_redis

    with find_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster | ExternalRedis]:
    """A running Redis Cluster of three nodes, shared by the session."""
    from lionagi_qe.testing.servers import find_redis_cluster

    with find_redis_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer | ExternalPostgres) -> Iterator[str]:
    """The URL of a new, empty database, which is dropped at the end of the session."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer | ExternalRedis) -> str:
    """The URL of a Redis database; it may hold data of others, so use a fleet of your own."""
    return redis_server.url


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: RedisCluster | ExternalRedis) -> str:
    """The URL of a Redis Cluster; it may hold data of others, so use a fleet of your own."""
    return redis_cluster.url


@pytest.fixture
def own_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """A function that starts a PostgreSQL server for this test alone, to be killed at will.

    Its arguments are those of ``PostgresServer``; the servers are removed after the test.
    """
    from lionagi_qe.testing.servers import PostgresServer

    with ExitStack() as stack:

        def start(*arguments: Any, **settings: Any) -> PostgresServer:  # noqa: ANN401
            return stack.enter_context(PostgresServer(*arguments, **settings))

        yield start


@pytest.fixture
def own_redis() -> Iterator[Callable[..., RedisServer]]:
    """A function that starts a Redis server for this test alone, to be killed at will.

    Its arguments are those of ``RedisServer``; the servers are removed after the test.
    """
    from lionagi_qe.testing.servers import RedisServer

    with ExitStack() as stack:

        def start(*arguments: Any, **settings: Any) -> RedisServer:  # noqa: ANN401
            return stack.enter_context(RedisServer(*arguments, **settings))

        yield start


@pytest.fixture
def fault_proxy() -> Callable[[str], FaultProxy]:
    """A function from a server's URL to a proxy in front of it, for ``async with``."""
    from lionagi_qe.testing.faults import FaultProxy

    return FaultProxy.for_url
