"""What the errors of a PostgreSQL server, and those of its driver, mean to a caller."""

from __future__ import annotations

import asyncpg

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendFullError,
    BackendUnavailableError,
    ConfigurationError,
    OutcomeUnknownError,
    SchemaMissingError,
)
from lionagi_qe.persistence.server_support.tls import tls_refusal
from lionagi_qe.persistence.values.redacted_text import redact_text

# What the server says of an option of the URL that the driver passes on.
_UNKNOWN_OPTION = "unrecognized configuration parameter"
# What the driver says of a server without TLS, and a server of a client without.
_NO_TLS = "rejected SSL upgrade"
_TLS_ONLY = "no encryption"
# ... of sslmode=verify-full alone.
_NO_AUTHORITY = "root certificate file"
# What PgBouncer says of a call that it had no connection for in time.
_NOT_SERVED = "query_wait_timeout"
# ... of a transaction where it gives each statement a connection of its own.
_STATEMENT_MODE = "not allowed in statement pooling mode"
# What the server refuses now and may do soon: it stops or starts, is a standby or read-only for a
# failover, lacks connections, memory or disk, or another change came between.
_NOT_NOW = (
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
# The last is what the driver says of a connection that the server left in the middle of a call.
LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def unconfirmed(where: str) -> OutcomeUnknownError:
    """Return the error of a commit that did not wait for the standby that it had to wait for."""
    return OutcomeUnknownError(
        f"{where}: the change was applied, but its wait for a standby was ended from outside; if "
        "the standby takes over, it may be lost; read the entry to find out"
    )


def _ends_all(error: Exception) -> bool:
    """Whether the server crashes by it, or ends or can't open a session for a reason of its own.

    A crash, as on a disk that is full, may come while a change is being committed.
    """
    severity = getattr(error, "severity_en", None)
    return severity == "PANIC" or (severity == "FATAL" and not isinstance(error, _NOT_NOW))


def _of_transport(error: Exception, where: str, reason: str) -> AqeError | None:
    """Return the error of a connection that could not be had as the URL wants it encrypted."""
    if (refusal := tls_refusal(error)) is not None:
        return ConfigurationError(f"{where}: {refusal}")
    if isinstance(error, ConnectionError) and _NO_TLS in reason:
        return ConfigurationError(
            f"{where}: speaks no TLS, which the URL asks for (sslmode); turn ssl on there, or "
            "write sslmode=disable where nobody can listen"
        )
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError) and _TLS_ONLY in reason:
        return AccessDeniedError(f"{where}: {reason}; it may want TLS: write sslmode=verify-full")
    if isinstance(error, asyncpg.ClientConfigurationError) and _NO_AUTHORITY in reason:
        return ConfigurationError(
            f"{where}: sslmode needs the authority's certificate: sslrootcert=FILE, or "
            "sslrootcert=system for those that this machine trusts"
        )
    return None


def _told_by_server(error: Exception) -> Exception:
    """Return why the server ended a session, which the driver keeps behind what it saw of it."""
    cause = error.__cause__
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return cause if isinstance(cause, asyncpg.PostgresError) else error
    return error


def _of_setup(error: Exception, where: str, reason: str) -> AqeError | None:
    """Return the error of a URL, a role, a pooler or a database that can't serve as they are."""
    if isinstance(
        error,
        asyncpg.InvalidPasswordError
        | asyncpg.InvalidAuthorizationSpecificationError
        | asyncpg.InsufficientPrivilegeError,
    ):
        return AccessDeniedError(f"{where}: {reason}; check user, password and permissions")
    if isinstance(error, asyncpg.ClientConfigurationError) or _UNKNOWN_OPTION in reason:
        return ConfigurationError(f"{where}: {reason}; mend the URL")
    if _STATEMENT_MODE in reason:
        return ConfigurationError(
            f"{where}: the pooler takes no transactions; set pool_mode = transaction (or session)"
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return ConfigurationError(f"{where}: {reason}; create the database or name another")
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError):
        return SchemaMissingError(f"{where}: {reason}; open with migrate=True once")
    return None


def explain(error: Exception, where: str, *, sent: bool) -> Exception:  # noqa: PLR0911 - a table
    """Return the package's error for one of the driver's.

    ``sent``: a change was on its way, so a lost connection leaves its outcome unknown. When the
    server itself reports an error, the statement was rolled back and changed nothing.
    """
    if isinstance(error, AqeError):
        return error
    error = _told_by_server(error)
    reason = redact_text(str(error).strip().split("\n")[0]) or type(error).__name__
    if not sent and (refusal := _of_transport(error, where, reason)) is not None:
        return refusal
    if (refusal := _of_setup(error, where, reason)) is not None:
        return refusal
    if _NOT_SERVED in reason:
        return BackendUnavailableError(
            f"{where}: the pooler had no connection to the server in time ({reason}); nothing was "
            "changed; raise its default_pool_size, or try again"
        )
    lost = isinstance(error, (*LOST, asyncpg.PostgresConnectionError)) or _ends_all(error)
    if lost and sent and not isinstance(error, asyncpg.CannotConnectNowError):
        return OutcomeUnknownError(
            f"{where}: the connection was lost ({reason}) before the answer came; the change may "
            "or may not have been applied; read the entry to find out",
        )
    if isinstance(error, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
        return BackendFullError(
            f"{where}: {reason}; nothing was changed; make room on its machine, which removals "
            "need a little of, too"
        )
    if isinstance(error, asyncpg.ConfigurationLimitExceededError):
        return BackendFullError(
            f"{where}: {reason}; nothing was changed; send less at once, or raise that limit"
        )
    if lost:
        return BackendUnavailableError(f"{where}: {reason}; check that it is up and reachable")
    if isinstance(error, _NOT_NOW):
        return BackendUnavailableError(f"{where}: {reason}; nothing was changed; try again")
    return AqeError(f"{where}: {reason}; nothing was changed")
