"""What all calls share: the dispatcher that carries them, and the limits of this memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from lionagi_qe.persistence.values.entry import check_seconds

if TYPE_CHECKING:
    from lionagi_qe.persistence.scheduling.lifecycle import Dispatcher

MAX_BATCH = 10_000
MAX_BATCH_BYTES = 64 * 1024 * 1024


class Limits(TypedDict):
    """What bounds the calls of a memory."""

    timeout: float
    max_value_bytes: int
    max_batch: int


class Calls:
    """The part of a memory that turns checked arguments into operations.

    Args:
        dispatcher: carries the operations to the backend.
        timeout: seconds that a call may take unless it says otherwise.
        max_value_bytes: largest JSON encoding of one value.
        max_batch: most items of one batch call.
    """

    def __init__(
        self, dispatcher: Dispatcher, *, timeout: float, max_value_bytes: int, max_batch: int
    ) -> None:
        self._dispatcher = dispatcher
        self._timeout = timeout
        self._max_value_bytes = max_value_bytes
        self._max_batch = max_batch

    @property
    def timeout(self) -> float:
        """Seconds that a call may take unless it says otherwise."""
        return self._timeout

    def _deadline(self, timeout: float | None) -> float:
        limit = self._timeout if timeout is None else check_seconds("timeout", timeout)
        return self._dispatcher.time() + limit
