"""What a server's function or script answers when it refuses an operation, as an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lionagi_qe.errors import (
    AqeError,
    InvalidValueError,
    RevisionConflictError,
    StaleFenceError,
)

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.operations import Delete, Fence, Operation, Put

_REASONS = {
    "not_a_number": "holds no number",
    "overflow": "the sum does not fit 64 bits (or a float)",
    "not_learned": "holds no learned value",
}


def refusal_of(operation: Operation, status: str, figure: str | None) -> AqeError | None:
    """Return the error of ``status``; None if it is "ok". ``figure``: the revision found."""
    if status == "ok":
        return None
    if status == "conflict":
        expected = cast("Put | Delete", operation).if_revision or 0
        return RevisionConflictError(operation.key, expected, int(figure) if figure else None)
    if status == "stale":
        fence = cast("Fence", operation.fence)
        return StaleFenceError(fence.name, fence.token)
    return InvalidValueError(f"{operation.key!r}: {_REASONS[status]}; nothing was changed")
