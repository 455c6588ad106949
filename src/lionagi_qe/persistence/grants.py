"""What a server lets its own roles do in a memory, however they connect: ``aqe memory grant``.

Scopes bound those who ask them; a grant holds for whoever connects as the role, with this library
or without it. PostgreSQL bounds roles to patterns of keys, queues and leases; Redis binds users to
a fleet. A file has no roles.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.contract.grants import Grant, Granted
from lionagi_qe.persistence.encryption.backend import EncryptedBackend
from lionagi_qe.persistence.hidden_names.backend import HiddenNamesBackend
from lionagi_qe.persistence.inspection import stored_by
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.scheduling.retry import retry
from lionagi_qe.persistence.scopes.scope import Patterns
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.contract.grants import GrantBackend

# Tables that are in use may be had at another moment.
_SECONDS = 20.0

__all__ = ["Grant", "Granted", "grant", "grants", "revoke"]


async def grant(  # noqa: PLR0913 - keyword-only, as of Memory.scoped
    memory: Memory,
    role: str,
    *,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    queues: Iterable[str] = (),
    leases: Iterable[str] = (),
    password: str | None = None,
) -> Granted:
    """Have the server let ``role`` do this in the memory's fleet, and nothing else there.

    It replaces what was granted to the role in this fleet before. Patterns are those of
    ``Memory.scoped``: what may be written may be read.

    Where names are hidden, what is granted and told is the pattern of the stored names, and these
    may have 512 bytes: some twelve segments.

    Args:
        memory: opened by who may grant: the owner of the tables, an administrator of Redis.
        role: a role that PostgreSQL has; a user of Redis, which is made or replaced.
        read: patterns of keys. Redis knows ``*`` alone: none or all.
        write: patterns of keys. Redis as ``read``, and with it queues and leases.
        queues: patterns of names of queues; not for Redis.
        leases: patterns of names of leases; not for Redis.
        password: of the user of Redis; without one it is made, and told in the result alone.

    Raises:
        AccessDeniedError: the server doesn't let us grant.
        BackendUnavailableError: it was not reached, or its tables were in use, for 20 seconds.
        ConfigurationError: the server can't enforce that for this role, and says why.
        InvalidArgumentError: a pattern can't be understood, or no key could match it.
        HiddenNamesError: names are hidden, and a pattern is none of whole segments.

    """
    stored = names_hidden_by(memory)
    wanted = Grant(
        check_name("role", role),
        memory.fleet,
        stored(Patterns.of_keys("read", read).texts),
        stored(Patterns.of_keys("write", write).texts),
        stored(Patterns("queues", queues).texts),
        stored(Patterns("leases", leases).texts),
    )
    if not any((wanted.read, wanted.write, wanted.queues, wanted.leases)):
        raise ConfigurationError("a grant of nothing: name what may be read, written or used")
    backend = await _backend_of(memory)
    return await retry(lambda: backend.grant(wanted, password), _deadline())


async def revoke(memory: Memory, role: str) -> bool:
    """Take from ``role`` what was granted in the memory's fleet; return whether there was anything.

    Errors are those of ``grant``.
    """
    backend = await _backend_of(memory)
    return await retry(lambda: backend.revoke(role), _deadline())


async def grants(memory: Memory) -> list[Grant]:
    """Return what was granted in the memory's fleet, by role."""
    return await (await _backend_of(memory)).grants()


def names_hidden_by(memory: Memory) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Return what makes of patterns those that a server can match: of names as they are stored."""
    backend = parts_of(memory).backend
    while isinstance(backend, EncryptedBackend):
        backend = backend.inner
    if isinstance(backend, HiddenNamesBackend):
        names = backend.names
        return lambda patterns: tuple(map(names.pattern, patterns))
    return tuple


def _deadline() -> float:
    return asyncio.get_running_loop().time() + _SECONDS


async def _backend_of(memory: Memory) -> GrantBackend:
    backend = stored_by(memory)
    # What is asked of the server itself goes by no scheduler, which would have opened it.
    await memory.open()
    match backend.capabilities.name:
        case "postgresql":
            from lionagi_qe.persistence.postgres.backend import PostgresBackend
            from lionagi_qe.persistence.postgres.grants import PostgresGrants

            if isinstance(backend, PostgresBackend):
                return PostgresGrants(backend.session, memory.fleet)
        case "redis":
            from lionagi_qe.persistence.redis.backend import RedisBackend
            from lionagi_qe.persistence.redis.grants import RedisGrants

            if isinstance(backend, RedisBackend):
                return RedisGrants(backend.session, memory.fleet)
        case _:
            pass
    raise ConfigurationError(
        f"{backend.capabilities.name}: has no roles that could be granted anything: who can read "
        "the file, or its process, reads all of it. Give it to its user alone (mode 0600), or use "
        "PostgreSQL or Redis"
    )
