"""What some of several servers refused for now, as part of a result."""

from __future__ import annotations

from typing import Any

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
    OutcomeUnknownError,
)


class PartlyRefused(list[Any]):
    """Results of which some are errors of servers that could not be reached: worth another try."""


def is_worth_retrying(result: object) -> bool:
    """Whether this is the error of a server that changed nothing, and may be there again soon."""
    return (
        isinstance(result, BackendUnavailableError)
        and result.outcome == "not_applied"
        and not isinstance(result, AccessDeniedError | BackendTimeoutError)
    )


def changed_nothing(result: object) -> bool:
    """Whether this is an error by which nothing was changed for certain."""
    if isinstance(result, BackendUnavailableError):
        return result.outcome == "not_applied"
    return isinstance(result, AqeError)


def partly_applied(error: BaseException) -> BaseException:
    """Return what to raise where other parts of a change were applied before, or beside, this one.

    The part that was refused changed nothing; of the change as a whole that can't be said.
    """
    if isinstance(error, BackendUnavailableError) and error.outcome == "not_applied":
        msg = f"part of the change was applied, the rest was refused: {error}; look what is there"
        partly = OutcomeUnknownError(msg)
        partly.__cause__ = error
        return partly
    return error
