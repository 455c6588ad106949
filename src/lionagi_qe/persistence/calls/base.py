"""What all calls share: the scheduler that carries them, and the limits of this memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler

MAX_BATCH = 10_000
MAX_BATCH_BYTES = 64 * 1024 * 1024


class Limits(TypedDict):
    """What bounds the calls of a memory, and for how long they store where they don't say."""

    max_value_bytes: int
    max_batch: int
    default_ttl_ms: int | None


class Calls:
    """The part of a memory that turns checked arguments into operations.

    Args:
        scheduler: carries the operations to the backend.
        max_value_bytes: largest JSON encoding of one value.
        max_batch: most items of one batch call.
        default_ttl_ms: life of an entry that is stored without a ttl; None for ever.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        max_value_bytes: int,
        max_batch: int,
        default_ttl_ms: int | None,
    ) -> None:
        self._scheduler = scheduler
        self._max_value_bytes = max_value_bytes
        self._max_batch = max_batch
        self._default_ttl_ms = default_ttl_ms

    @property
    def max_batch(self) -> int:
        """Most items of one batch call."""
        return self._max_batch

    @property
    def default_ttl(self) -> float | None:
        """Seconds that an entry lives which is stored without a ttl; None for ever."""
        return None if self._default_ttl_ms is None else self._default_ttl_ms / 1000

    @property
    def timeout(self) -> float:
        """Seconds that a call may take unless it says otherwise."""
        return self._scheduler.timeout
