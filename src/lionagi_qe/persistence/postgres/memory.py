"""PostgresMemory: the memory contract on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.postgres.backend import PostgresBackend
from lionagi_qe.persistence.postgres.connection import (
    DEFAULT_SCHEMA,
    MAX_CONNECTIONS,
    AsyncpgPool,
    split_options,
)
from lionagi_qe.persistence.values.entry import check_count

if TYPE_CHECKING:
    from typing import Unpack

    from lionagi_qe.persistence.memory import MemorySettings


class PostgresMemory(Memory):
    """A memory in a PostgreSQL database (13 or newer).

    Args:
        dsn: ``postgresql://user:password@host:port/database``; ``?schema=`` and ``?pool_size=``
            are ours, all other options the driver's (``sslmode``, ...). Of several hosts
            (``@a:5432,b:5432/``) the one that accepts changes is used, or what
            ``target_session_attrs`` says; while it changes, calls wait as for a server that starts.
        pool: an asyncpg pool to use instead; it stays open when the memory is closed.
        schema: the database schema that holds the tables, ``lionagi_qe`` by default.
        pool_size: most connections opened, 10 by default.
        listen_url: where LISTEN works, if ``dsn`` leads to a transaction pooler or a ``pool`` is
            given; without it, workers that wait for jobs look every now and then.
        settings: see Memory.
    """

    def __init__(
        self,
        dsn: str | None = None,
        *,
        pool: AsyncpgPool | None = None,
        schema: str | None = None,
        pool_size: int | None = None,
        listen_url: str | None = None,
        **settings: Unpack[MemorySettings],
    ) -> None:
        if (dsn is None) == (pool is None):
            msg = "PostgresMemory takes either a dsn or a pool"
            raise ConfigurationError(msg)
        dsn, options = split_options(dsn or "")
        size = options.get("pool_size", "")
        if size and not size.isdecimal():
            msg = f"pool_size={size!r} in the URL: must be a number of connections"
            raise ConfigurationError(msg)
        backend = PostgresBackend(
            dsn,
            pool=pool,
            schema=schema or options.get("schema", DEFAULT_SCHEMA),
            pool_size=check_count("pool_size", pool_size or int(size or MAX_CONNECTIONS)),
            listen_dsn=None if listen_url is None else split_options(listen_url)[0],
        )
        super().__init__(backend, **settings)
