"""From a URL to a memory: the only place that picks a backend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from lionagi_qe.errors import ConfigurationError, InvalidArgumentError, UnknownSchemeError
from lionagi_qe.persistence.encryption.keys import KeyRing
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.sync_memory import SyncMemory
from lionagi_qe.persistence.values.entry import check_ttl
from lionagi_qe.persistence.values.url import check_url, redact, take_option, unknown_option

if TYPE_CHECKING:
    from typing import Unpack

    from lionagi_qe.persistence.memory import Memory, MemorySettings

URL_VARIABLE = "LIONAGI_QE_MEMORY"
DEFAULT_URL = "sqlite:///.lionagi-qe/memory.db"
SCHEMES = (
    "sqlite:///file.db",
    "memory://",
    "postgresql://user@host/database",
    "redis://host:6379/0",
    "rediss://host:6379/0",
    "redis+cluster://host:6379",
    "redis+sentinel://host:26379,host:26379/mymaster/0",
)
_REDIS = frozenset(
    f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+cluster", "+sentinel")
)


def open_memory(
    url: str | None = None,
    *,
    cache: str | None = None,
    max_stale: float | None = None,
    **settings: Unpack[MemorySettings],
) -> Memory:
    """Return the memory that ``url`` names; ``async with`` or its first call opens it.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` (``?synchronous=normal``),
            ``memory://`` (private), ``postgresql://`` (``?schema=``; several hosts of one
            database as ``@a:5432,b:5432/``), ``redis://``, ``rediss://``, ``redis+cluster://`` or
            ``redis+sentinel://a:26379,b:26379/mymaster/0``. Without one, ``$LIONAGI_QE_MEMORY``,
            else a SQLite file ``.lionagi-qe/memory.db`` in the working directory.
        cache: the URL of a Redis that keeps copies of values in front of the memory; see
            ``hybrid``.
        max_stale: seconds by which a value that the cache gives may be behind the last write of
            another handle; 1 by default.
        settings: see Memory. ``keys`` may be named by the URL, too: ``?keys=VARIABLE`` takes them
            from that environment variable; see ``KeyRing.from_env``. So may ``?hide_names=ID`` and
            ``?default_ttl=3600``.

    Raises:
        UnknownSchemeError, ConfigurationError: the URL can't be used; nothing was opened.

    """
    url, variable = take_option(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL, "keys")
    if variable is not None and settings.get("keys") is None:
        settings["keys"] = KeyRing.from_env(variable)
    url, names_key = take_option(url, "hide_names")
    if names_key is not None and settings.get("hide_names") is None:
        settings["hide_names"] = names_key
    url, seconds = take_option(url, "default_ttl")
    if seconds is not None and settings.get("default_ttl") is None:
        settings["default_ttl"] = _default_ttl(url, seconds)
    if cache is not None:
        plain = settings.copy()
        # What the cache holds is sealed, too.
        plain.pop("keys", None)
        plain.pop("hide_names", None)
        return _cached(open_memory(url, **plain), cache, max_stale, settings)
    if max_stale is not None:
        msg = f"max_stale={max_stale!r}: only a memory with a cache has it; give cache= too"
        raise ConfigurationError(msg)
    scheme = check_url(url).scheme
    if scheme in {"sqlite", "memory"}:
        return _sqlite(url, settings)
    if scheme in {"postgresql", "postgres"}:
        from lionagi_qe.persistence.postgres.memory import PostgresMemory

        return PostgresMemory(url, **settings)
    if scheme in _REDIS:
        from lionagi_qe.persistence.redis.memory import RedisMemory

        return RedisMemory.from_url(url, **settings)
    msg = (
        f"memory URL {redact(url)!r}: no backend for the scheme {scheme!r}; use one of "
        + ", ".join(SCHEMES)
    )
    raise UnknownSchemeError(msg)


def open_memory_sync(
    url: str | None = None,
    *,
    cache: str | None = None,
    max_stale: float | None = None,
    **settings: Unpack[MemorySettings],
) -> SyncMemory:
    """Return the memory that ``url`` names, for threads without an event loop.

    ``with`` or its first call opens it. One for a whole process, in a module of its own, serves
    all threads, and the processes that fork from it. Arguments and errors are those of
    ``open_memory``.
    """
    url = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL

    def make() -> Memory:
        return open_memory(url, cache=cache, max_stale=max_stale, **settings)

    # What is wrong with a URL or a setting is told where it is written.
    make()
    return SyncMemory(make, redact(url))


def _default_ttl(url: str, text: str) -> float:
    try:
        seconds = float(text)
        check_ttl(seconds)
    except (ValueError, InvalidArgumentError):
        msg = (
            f"memory URL {redact(url)!r}: its default_ttl is no number of seconds above 0; write "
            "?default_ttl=3600"
        )
        # What stands there may be the rest of a password with a '&'.
        raise ConfigurationError(msg) from None
    return seconds


def _cached(
    durable: Memory, cache: str, max_stale: float | None, settings: MemorySettings
) -> Memory:
    from lionagi_qe.persistence.caching.hybrid import DEFAULT_MAX_STALE, HybridMemory
    from lionagi_qe.persistence.redis.cache import RedisCache

    if check_url(cache).scheme.partition("+")[0] not in {"redis", "rediss"}:
        msg = f"cache {redact(cache)!r}: a cache lives on Redis; use redis://host:6379/0"
        raise UnknownSchemeError(msg)
    return HybridMemory(
        parts_of(durable).backend,
        RedisCache.from_url(cache),
        max_stale=DEFAULT_MAX_STALE if max_stale is None else max_stale,
        **settings,
    )


def _sqlite(url: str, settings: MemorySettings) -> Memory:
    from lionagi_qe.persistence.sqlite.memory import SqliteMemory

    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full")
    if options:
        unknown = next(iter(options))
        reason = unknown_option(unknown, [*options.items()])
        msg = f"memory URL {redact(url)!r}: {reason}; known: synchronous"
        raise ConfigurationError(msg)
    path = unquote(parts.path)
    if parts.netloc or (parts.scheme == "memory" and path.strip("/")):
        msg = (
            f"memory URL {redact(url)!r}: write sqlite:///relative.db, sqlite:////absolute/path.db "
            "or memory://"
        )
        raise ConfigurationError(msg)
    if parts.scheme == "memory":
        return SqliteMemory(":memory:", **settings)
    if not path.strip("/"):
        msg = f"memory URL {redact(url)!r}: names no file; write sqlite:///file.db or memory://"
        raise ConfigurationError(msg)
    return SqliteMemory(path.removeprefix("/"), synchronous=synchronous, **settings)
