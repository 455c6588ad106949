"""What some of several servers refused for now, as part of a result."""

from __future__ import annotations

from typing import Any

from lionagi_qe.errors import (
    AccessDeniedError,
    BackendTimeoutError,
    BackendUnavailableError,
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
