"""From a URL to the arena on its server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from lionagi_qe.bench.arena import Arena


def arena_at(url: str) -> Arena:
    """Return the arena for the server that ``url`` names; nothing is connected yet.

    Raises:
        ConfigurationError: nothing is to be measured there.

    """
    scheme = urlsplit(url).scheme
    if scheme in {"postgresql", "postgres"}:
        from lionagi_qe.bench.postgres import PostgresArena

        return PostgresArena(url)
    if scheme in {"redis", "rediss"}:
        from lionagi_qe.bench.redis import RedisArena

        return RedisArena(url)
    if scheme in {"sqlite", "memory"}:
        from lionagi_qe.bench.sqlite import SqliteArena

        return SqliteArena(url)
    msg = (
        f"{redact(url)}: no benchmark for the scheme {scheme!r}; name a memory on PostgreSQL "
        "(postgresql://), one Redis server (redis://) or SQLite (sqlite:///)"
    )
    raise ConfigurationError(msg)
