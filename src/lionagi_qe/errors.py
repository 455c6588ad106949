"""Every error this package raises, under one root.

Each class also derives from the built-in that it is (``ValueError``, ``LookupError``,
``ConnectionError``, ``TimeoutError``), so callers may catch either.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AccessDeniedError",
    "AqeError",
    "ArchiveError",
    "BackendFullError",
    "BackendTimeoutError",
    "BackendUnavailableError",
    "BatchEndedError",
    "BatchTooLargeError",
    "ConfigurationError",
    "CrossShardError",
    "DecryptionError",
    "EnvironmentBuildError",
    "HiddenNamesError",
    "IndexBehindError",
    "IndexNotFoundError",
    "InvalidArgumentError",
    "InvalidKeyError",
    "InvalidValueError",
    "IsolationError",
    "JobCancelledError",
    "JobFailedError",
    "JobLostError",
    "JobNotDoneError",
    "JobNotFoundError",
    "LeaseLostError",
    "MemoryClosedError",
    "MemoryMissingError",
    "OutcomeUnknownError",
    "ProjectError",
    "RevisionConflictError",
    "SchemaError",
    "SchemaMissingError",
    "SchemaTooNewError",
    "SessionEndedError",
    "StaleFenceError",
    "TransferConflictError",
    "UnknownSchemeError",
    "UntrustedResultError",
    "UntrustedTaskError",
    "ValueTooLargeError",
    "WatchTooOldError",
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


class HiddenNamesError(InvalidArgumentError):
    """What was asked for can't be found, or kept, where names are hidden (``hide_names``)."""


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


class LeaseLostError(AqeError):
    """A lease ended while its holder still counted on it; another may hold it now.

    Attributes:
        name: the lease's name.
        token: the fencing token that is worth nothing any more.
    """

    def __init__(self, name: str, token: int, message: str | None = None) -> None:
        super().__init__(
            message
            or f"lease {name!r} (token {token}) was lost: it was not renewed in time, or was "
            "taken over; stop what it protected, and acquire it again",
        )
        self.name = name
        self.token = token

    def __reduce__(self) -> tuple[type[LeaseLostError], tuple[str, int, str]]:
        """Pickle by fields, since the message is built from them."""
        return type(self), (self.name, self.token, str(self))


class StaleFenceError(LeaseLostError):
    """The server refused a change: its fencing token isn't current, or its lease has expired.

    Nothing was applied.
    """

    def __init__(self, name: str, token: int, message: str | None = None) -> None:
        super().__init__(
            name,
            token,
            message
            or f"lease {name!r}: token {token} is not current or has expired; nothing was "
            "changed; acquire the lease again and start over",
        )


class CrossShardError(AqeError, ValueError):
    """What should be one atomic step lies in several shards of a cluster; nothing was applied."""


class JobLostError(AqeError):
    """A job is no longer its worker's: its lease ended and it was given back, or it was ended.

    Attributes:
        job_id: the job concerned.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id}: is no longer this worker's: its lease ended and it went back to the "
            "queue, or it was already ended; nothing was changed",
        )
        self.job_id = job_id

    def __reduce__(self) -> tuple[type[JobLostError], tuple[str]]:
        """Pickle by fields, since the message is built from them."""
        return type(self), (self.job_id,)


class JobNotFoundError(AqeError, LookupError):
    """The queue knows no such job: it never did, or its result was kept long enough."""


class BatchEndedError(AqeError):
    """A batch takes no more jobs: all of them have ended, it was cancelled, or never was there.

    Attributes:
        batch_id: the batch concerned.
    """

    def __init__(self, batch_id: str) -> None:
        super().__init__(
            f"batch {batch_id}: takes no more jobs: all of them have ended, it was cancelled, or "
            "the queue doesn't know it. Add jobs from within one of the batch, or make a new one"
        )
        self.batch_id = batch_id

    def __reduce__(self) -> tuple[type[BatchEndedError], tuple[str]]:
        """Pickle by fields, since the message is built from them."""
        return type(self), (self.batch_id,)


class JobNotDoneError(AqeError, TimeoutError):
    """A job did not end within the time that its result was waited for."""


class JobFailedError(AqeError):
    """The job whose result was asked for failed for good; the message is its last error."""


class JobCancelledError(AqeError):
    """The job whose result was asked for was cancelled."""


class BackendUnavailableError(AqeError, ConnectionError):
    """The server could not be reached or did not answer.

    Attributes:
        outcome: "not_applied" when the call changed nothing for certain, "unknown" when it was
            already on its way to the server and may have been applied.
    """

    outcome: Outcome = "not_applied"


class BackendTimeoutError(BackendUnavailableError, TimeoutError):
    """The call did not end within its ``timeout`` and changed nothing."""


class BackendFullError(BackendUnavailableError):
    """The server has no memory or disk left for what the call would add; nothing was changed.

    Reading goes on. So does removing, and ending jobs, where the server can do it without room.
    """


class OutcomeUnknownError(BackendUnavailableError):
    """The connection was lost (or time ran out) after a change was sent.

    It may or may not have been applied, and was not sent again. Read the entry to find out.
    """

    outcome: Outcome = "unknown"


class AccessDeniedError(BackendUnavailableError):
    """The server refused the credentials or permission that the call needs, or a scope the call."""


class WatchTooOldError(AqeError, LookupError):
    """A watch's position is no longer kept; read all anew, and go on from there."""


class IndexNotFoundError(AqeError, LookupError):
    """No index of this name was declared in this memory; see Memory.index."""


class IndexBehindError(AqeError, TimeoutError):
    """An index could not be brought up to what is stored within the call's time."""


class SessionEndedError(AqeError, LookupError):
    """A session that something was to be stored in, or that was to be extended, is over."""


class TransferConflictError(AqeError):
    """A transfer with ``on_conflict="fail"`` met an entry that the target has otherwise."""


class ArchiveError(AqeError, ValueError):
    """A file that is no archive of a memory, or is cut short or damaged; the message says where."""


class MemoryClosedError(AqeError, RuntimeError):
    """The memory was closed, or never opened in this process (after a fork)."""


class WrongEventLoopError(AqeError, RuntimeError):
    """The memory was opened on another event loop than the one that calls it now."""


class DecryptionError(AqeError, ValueError):
    """What is stored can't be opened: sealed by another key, not at all, changed or exchanged."""


class ConfigurationError(AqeError, ValueError):
    """A URL, a file or a server that can't serve as a memory as it is configured."""


class EmbeddingNotFoundError(ConfigurationError):
    """This process doesn't know the function that made an index's vectors."""


class UnknownSchemeError(ConfigurationError):
    """The URL's scheme names no backend."""


class SchemaError(AqeError):
    """The database's schema isn't the one this version needs."""


class SchemaMissingError(SchemaError, LookupError):
    """The schema (or a migration of it) is not there and ``migrate=False`` forbids to apply it."""


class MemoryMissingError(SchemaMissingError):
    """There is no memory, or no such fleet in it, and ``migrate=False`` forbids to make one."""


class SchemaTooNewError(SchemaError):
    """The schema was written by a newer version of this package."""


class ProjectError(AqeError, ValueError):
    """A project, its path or its configuration can't be examined as it is; the user mends it."""


class EnvironmentBuildError(AqeError):
    """The environment that a project's tests need could not be prepared."""


class IsolationError(AqeError):
    """A project's code was to run isolated, and this machine can't; the message says what to do."""


class UntrustedResultError(InvalidValueError):
    """What a memory holds as a run's own no key that is trusted here has signed."""


class UntrustedTaskError(InvalidValueError):
    """A worker was given a task that no key which it trusts has signed."""
