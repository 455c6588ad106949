"""What the errors of a Redis server, and those of its driver, mean to a caller."""

from __future__ import annotations

import re

from redis import exceptions

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendFullError,
    BackendUnavailableError,
    ConfigurationError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.server_support.tls import tls_refusal
from lionagi_qe.persistence.values.redacted_text import redact_text

# What the driver raises when a call failed; the second is none of the first.
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
# Of these, what comes before anything is sent.
_NOT_SENT = (exceptions.MaxConnectionsError, exceptions.RedisClusterException)
# Answers like those of _LATER, where the driver takes the word away.
_NOT_NOW = (
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
# ... by the driver's classes.
_MOVED_ON = (exceptions.MasterDownError, exceptions.ReadOnlyError)
_ACCESS = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "AUTH")
# What a script is answered whose user may not do what it does, which begins otherwise by version;
# and what the driver tells of a cluster that lets it in nowhere.
_ACCESS_WITHIN = ("The user executing the script", "ACL failure in script", *_ACCESS[:4])
_LATER = (
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
)
# Of those, what a server says that is a primary no more, or is left by its replicas since another
# took over: where that one can be found is asked anew.
_ELSEWHERE = ("MASTERDOWN", "NOREPLICAS", "READONLY")
# Before Redis 7, what a command answers within a script is told at the end of the script's error.
_IN_SCRIPT = re.compile(r"(?:ERR )?Error running script .*?: -?(?=[A-Z]{3,} )")
# What a call ends in whose command the server doesn't have, or not for this user.
NOT_ALLOWED = (AccessDeniedError, ConfigurationError)
# A command that was renamed or switched off, or that a server of another kind never had. What it
# was called with may follow, and holds what is being stored.
_UNKNOWN_COMMAND = re.compile(r"(?:ERR )?unknown command [`']?([\w.-]*)", re.IGNORECASE)
_HINT_REPLICA = "; it is a replica: name the primary, or the Sentinels by redis+sentinel://"


def is_elsewhere(error: exceptions.ResponseError) -> bool:
    """Whether a server says that changes are to go to another one, which is to be looked for."""
    return _is_answer(str(error), _ELSEWHERE) or isinstance(error, _MOVED_ON)


def _is_answer(reason: str, words: tuple[str, ...]) -> bool:
    """Whether an answer begins with one of the words, also that of a command in a script."""
    found = _IN_SCRIPT.match(reason)
    return reason.startswith(words, found.end() if found else 0)


def _lacking(reason: str) -> str | None:
    """Return what an answer tells of a command that the server lacks; a script is not told which.

    What the server says is not passed on, as it quotes what is being stored.
    """
    why = "it was renamed or switched off, or the server is not wholly a Redis or Valkey"
    if (unknown := _UNKNOWN_COMMAND.search(reason)) is not None:
        return f"has no command {unknown[1]}, which a memory needs: {why}; nothing was changed"
    if "unknown redis command" in reason.lower():
        return f"lacks a command that a memory's scripts need: {why}; a script stopped at it"
    return None


def _answered(error: Exception, where: str, reason: str) -> AqeError:
    """Return the error of a server that answered, and did nothing."""
    if isinstance(error, exceptions.OutOfMemoryError) or _is_answer(reason, ("OOM",)):
        return BackendFullError(
            f"{where}: {reason}; nothing was changed; delete, clear a partition, let what has "
            "a TTL expire, or raise maxmemory"
        )
    if _is_answer(reason, _LATER) or isinstance(error, _NOT_NOW):
        hint = (
            _HINT_REPLICA
            if _is_answer(reason, ("READONLY",)) or isinstance(error, exceptions.ReadOnlyError)
            else ""
        )
        return BackendUnavailableError(f"{where}: {reason}; nothing was changed{hint}")
    if "DB index is out of range" in reason:
        return ConfigurationError(f"{where}: {reason}; name a database that it has")
    if (lacks := _lacking(reason)) is not None:
        return ConfigurationError(f"{where}: {lacks}")
    return AqeError(f"{where}: {reason}; nothing was changed")


def explain(error: Exception, where: str, *, sent: bool) -> Exception:  # noqa: PLR0911 - a table
    """Return the package's error for one of the driver's.

    ``sent``: a change was on its way, so a lost connection leaves its outcome unknown. When the
    server itself refuses, it changed nothing.
    """
    if not sent and (refusal := tls_refusal(error)) is not None:
        return ConfigurationError(f"{where}: {refusal}")
    reason = redact_text(str(error).strip().split("\n")[0]) or type(error).__name__
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError) or (
        isinstance(error, FAILURES[:2])
        and (reason.startswith(_ACCESS) or any(text in reason for text in _ACCESS_WITHIN))
    ):
        return AccessDeniedError(f"{where}: {reason}; check user, password and permissions")
    if isinstance(error, exceptions.RedisClusterException) and "not enabled" in reason:
        return ConfigurationError(f"{where}: {reason}; write redis:// for a single server")
    if isinstance(error, exceptions.MovedError):
        return ConfigurationError(f"{where}: is a node of a cluster; write redis+cluster://")
    if isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError):
        return _answered(error, where, reason)
    if sent and not isinstance(error, _NOT_SENT):
        return OutcomeUnknownError(
            f"{where}: the connection was lost ({reason}) before the answer came; the change may "
            "or may not have been applied; read the entry to find out",
        )
    return BackendUnavailableError(f"{where}: {reason}; check that it is up and reachable")
