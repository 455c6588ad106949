"""RedisMemory: the memory contract on Redis, Valkey or Redis Cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode, urlunsplit

from redis.asyncio.connection import SSLConnection, parse_url

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.redis.backend import RedisBackend
from lionagi_qe.persistence.redis.cluster import ClusterLink
from lionagi_qe.persistence.redis.connection import MAX_CONNECTIONS, ServerLink
from lionagi_qe.persistence.redis.replicas import Wait
from lionagi_qe.persistence.redis.schema import MAX_SHARDS
from lionagi_qe.persistence.redis.sentinel import SentinelLink, Sentinels, sentinels_of
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.redacted_text import redact_text
from lionagi_qe.persistence.values.url import check_url, unknown_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from lionagi_qe.persistence.memory import MemorySettings

_OWN_OPTIONS = frozenset({"shards", "colocate", "pool_size", "wait_replicas"})
# Those of redis-py that a text can say; others are objects, or settings of its pools.
_DRIVERS_OPTIONS = frozenset(
    {
        "client_name",
        "db",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "lib_name",
        "lib_version",
        "password",
        "protocol",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "username",
    }
)


# What the driver would tell of only when it connects, as if the server were away.
_VERIFYING = frozenset({"required", "optional", "none"})
_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


class RedisMemory(Memory):
    """A memory on Redis 6.2 or newer, Valkey, or Redis Cluster; no modules needed.

    Args:
        host, port, db, username, password: where the server is and who asks.
        ssl: speak TLS.
        cluster: the server is a node of a Redis Cluster.
        sentinels: whom to ask where the primary is, instead of ``host`` and ``port``.
        shards: over how many hash slots a new fleet is spread (1; on a cluster 16).
        colocate: let the first so many segments of a key (after ``aqe/``) choose the slot in a
            new fleet, so that keys which agree in them can change in one atomic step.
        pool_size: most connections to a server; of a cluster's, where each call goes to several
            slots, four times as many.
        wait_replicas: let a change count as made once so many replicas have it, too (of a cluster,
            of each shard). While there are fewer, changes wait until their time is up, and their
            outcome is unknown then.
        connection: further settings of redis-py's connections, by name.
        settings: see Memory.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        password: str | None = None,
        *,
        username: str | None = None,
        ssl: bool = False,
        cluster: bool = False,
        sentinels: Sentinels | None = None,
        shards: int | None = None,
        colocate: int | None = None,
        pool_size: int = MAX_CONNECTIONS,
        wait_replicas: int | None = None,
        connection: dict[str, Any] | None = None,
        **settings: Unpack[MemorySettings],
    ) -> None:
        if shards is not None:
            check_count("shards", shards, MAX_SHARDS)
        if colocate is not None:
            check_count("colocate", colocate)
        check_count("pool_size", pool_size)
        wait = None
        if wait_replicas is not None:
            wait = Wait(check_count("wait_replicas", wait_replicas))
        wanted: dict[str, Any] = {
            "host": host,
            "port": port,
            "username": username,
            "password": password,
            **(connection or {}),
        }
        _check_tls(wanted, ssl=ssl)
        if cluster:
            if db:
                msg = f"db={db}: Redis Cluster has only database 0"
                raise ConfigurationError(msg)
            link: ClusterLink | ServerLink = ClusterLink(
                {**wanted, "ssl": ssl}, pool_size=pool_size, wait=wait
            )
        else:
            wanted["db"] = db
            if ssl:
                wanted["connection_class"] = SSLConnection
            if sentinels is not None or "path" in wanted:
                del wanted["host"], wanted["port"]
            if sentinels is not None:
                link = SentinelLink(sentinels, wanted, pool_size=pool_size, wait=wait)
            else:
                link = ServerLink(wanted, pool_size=pool_size, wait=wait)
        super().__init__(RedisBackend(link, shards=shards, colocate=colocate), **settings)

    @classmethod
    def from_url(cls, url: str, **settings: Unpack[MemorySettings]) -> Self:
        """Make a memory from ``redis://``, ``rediss://``, ``redis+cluster://`` or ``unix://``.

        ``redis+sentinel://user:password@a:26379,b:26379/mymaster/0`` asks Sentinels for the
        primary; ``?sentinel_username=`` and ``?sentinel_password=`` are said to them alone.
        ``?shards=``, ``?colocate=``, ``?pool_size=`` and ``?wait_replicas=`` are ours, all other
        options redis-py's.
        """
        parts = check_url(url)
        sentinels = None
        if parts.scheme.endswith("+sentinel"):
            sentinels, parts = sentinels_of(parts)
        options = parse_qsl(parts.query, keep_blank_values=True)
        ours = {name: value for name, value in options if name in _OWN_OPTIONS}
        rest = urlencode([option for option in options if option[0] not in _OWN_OPTIONS])
        unknown = [
            name
            for name, _ in options
            if name not in _OWN_OPTIONS | _DRIVERS_OPTIONS and not name.startswith("ssl_")
        ]
        if unknown:
            hint = "; say pool_size" if unknown[0] == "max_connections" else ""
            msg = f"memory URL of Redis: {unknown_option(unknown[0], options)}{hint}"
            raise ConfigurationError(msg)
        for name, value in options:
            if name in _FILES and not Path(value).is_file():
                raise ConfigurationError(f"memory URL of Redis: {name}: there is no file {value}")
        scheme, _, flavour = parts.scheme.partition("+")
        database = parts.path.strip("/")
        if scheme != "unix" and database and not database.isdecimal():
            # The driver would take database 0 without a word.
            msg = f"memory URL of Redis: the database {database!r} is no number; write host:port/0"
            raise ConfigurationError(msg)
        try:
            parsed: dict[str, Any] = dict(
                parse_url(urlunsplit((scheme, parts.netloc, parts.path, rest, "")))
            )
            numbers = {name: int(value) for name, value in ours.items()}
        except ValueError as error:
            msg = f"memory URL of Redis can't be read: {redact_text(str(error))}"
            raise ConfigurationError(msg) from None
        named = {
            name: parsed.pop(name)
            for name in ("host", "port", "db", "password", "username")
            if name in parsed
        }
        ssl = parsed.get("connection_class") is SSLConnection
        if ssl:
            del parsed["connection_class"]
        return cls(
            **named,
            ssl=ssl,
            cluster=flavour == "cluster",
            sentinels=sentinels,
            connection=parsed,
            shards=numbers.get("shards"),
            colocate=numbers.get("colocate"),
            pool_size=numbers.get("pool_size", MAX_CONNECTIONS),
            wait_replicas=numbers.get("wait_replicas"),
            **settings,
        )


def _check_tls(settings: Mapping[str, Any], *, ssl: bool) -> None:
    """Refuse settings of TLS that hold for nothing, or that the driver would complain of late."""
    unused = [name for name in settings if name.startswith("ssl_")]
    if unused and not ssl:
        msg = (
            f"memory of Redis: {unused[0]}: the connection would be in clear all the same; write "
            "rediss://, rediss+cluster:// or rediss+sentinel://"
        )
        raise ConfigurationError(msg)
    if str(settings.get("ssl_cert_reqs", "required")) not in _VERIFYING:
        msg = "memory of Redis: ssl_cert_reqs: write required, which verifies, optional or none"
        raise ConfigurationError(msg)
