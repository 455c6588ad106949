"""Every error this package raises, under one root.

Each class also derives from the built-in that it is (``ValueError``, ``LookupError``,
``ConnectionError``, ``TimeoutError``), so callers may catch either.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AccessDeniedError",
    "AqeError",
    "BackendTimeoutError",
    "BackendUnavailableError",
    "BatchTooLargeError",
    "ConfigurationError",
    "EnvironmentBuildError",
    "InvalidArgumentError",
    "InvalidKeyError",
    "InvalidValueError",
    "MemoryClosedError",
    "OutcomeUnknownError",
    "ProjectError",
    "RevisionConflictError",
    "SchemaError",
    "SchemaMissingError",
    "SchemaTooNewError",
    "UnknownSchemeError",
    "ValueTooLargeError",
    "WrongEventLoopError",
]

Outcome = Literal["not_applied", "unknown"]


class AqeError(Exception):
    """Root of all errors of this package."""


class InvalidKeyError(AqeError, ValueError):
    """A key breaks a rule; the message names the key and the rule."""


class InvalidValueError(AqeError, ValueError):
    """A value can't be stored so that it comes back equal; the message names the path in it."""


class ValueTooLargeError(InvalidValueError):
    """A value's JSON is larger than ``max_value_bytes``."""


class InvalidArgumentError(AqeError, ValueError):
    """An argument (TTL, limit, partition, pattern, fleet name, ...) breaks a rule."""


class BatchTooLargeError(AqeError, ValueError):
    """A batch call got more items than ``max_batch``; nothing was applied."""


class RevisionConflictError(AqeError):
    """A compare-and-set found another revision than the expected one; nothing was applied.

    Attributes:
        key: the entry concerned.
        expected: the revision that the caller named (0: "must not exist").
        actual: the revision that the server holds, or None for a missing or expired entry.
    """

    def __init__(self, key: str, expected: int, actual: int | None) -> None:
        found = "no such entry" if actual is None else f"revision {actual}"
        wanted = "no entry" if expected == 0 else f"revision {expected}"
        super().__init__(
            f"{key!r}: expected {wanted}, found {found}; read the entry again and retry",
        )
        self.key = key
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> tuple[type[RevisionConflictError], tuple[str, int, int | None]]:
        """Pickle by fields, since the message is built from them."""
        return type(self), (self.key, self.expected, self.actual)


class BackendUnavailableError(AqeError, ConnectionError):
    """The server could not be reached or did not answer.

    Attributes:
        outcome: "not_applied" when the call changed nothing for certain, "unknown" when it was
            already on its way to the server and may have been applied.
    """

    outcome: Outcome = "not_applied"


class BackendTimeoutError(BackendUnavailableError, TimeoutError):
    """The call did not end within its ``timeout`` and changed nothing."""


class OutcomeUnknownError(BackendUnavailableError):
    """The connection was lost (or time ran out) after a change was sent.

    It may or may not have been applied, and was not sent again. Read the entry to find out.
    """

    outcome: Outcome = "unknown"


class AccessDeniedError(BackendUnavailableError):
    """The server refused the credentials or the permission that the call needs."""


class MemoryClosedError(AqeError, RuntimeError):
    """The memory was closed, or never opened in this process (after a fork)."""


class WrongEventLoopError(AqeError, RuntimeError):
    """The memory was opened on another event loop than the one that calls it now."""


class ConfigurationError(AqeError, ValueError):
    """A URL, a file or a server that can't serve as a memory as it is configured."""


class UnknownSchemeError(ConfigurationError):
    """The URL's scheme names no backend."""


class SchemaError(AqeError):
    """The database's schema isn't the one this version needs."""


class SchemaMissingError(SchemaError, LookupError):
    """The schema (or a migration of it) is not there and ``migrate=False`` forbids to apply it."""


class SchemaTooNewError(SchemaError):
    """The schema was written by a newer version of this package."""


class ProjectError(AqeError, ValueError):
    """A project, its path or its configuration can't be examined as it is; the user mends it."""


class EnvironmentBuildError(AqeError):
    """The environment that a project's tests need could not be prepared."""
