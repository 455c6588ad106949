"""Calls whose time is up: one timer for all of them, and the errors that they get."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    BackendTimeoutError,
    BackendUnavailableError,
    OutcomeUnknownError,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from lionagi_qe.persistence.scheduling.batch import Batch

# Seconds between two looks at all calls, however many end at different moments.
_LEAST_PAUSE = 0.01


class DeadlineTimer:
    """Calls ``expire`` at the earliest of the deadlines that it was told, ``at`` (loop time)."""

    __slots__ = ("_expire", "_handle", "_loop", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[float], float]) -> None:
        """Set it up; ``expire`` takes the time and returns the next deadline, or infinity."""
        self._loop = loop
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf

    def arm(self, at: float) -> None:
        """Expire at that time, and at no other; infinity: never."""
        if self._handle is not None:
            self._handle.cancel()
        self.at = at
        self._handle = self._loop.call_at(at, self._ring) if at < math.inf else None

    def _ring(self) -> None:
        now = self._loop.time()
        self.arm(max(self._expire(now), now + _LEAST_PAUSE))


def expire(
    waiting: Iterable[tuple[asyncio.Future[Any], float]],
    now: float,
    error: Callable[[], Exception],
) -> float:
    """Fail the futures whose deadline has come; return the next deadline of the others."""
    following = math.inf
    for future, deadline in waiting:
        if future.done():
            continue
        if deadline <= now:
            future.set_exception(error())
        else:
            following = min(following, deadline)
    return following


def cancel_if_overdue(batch: Batch, task: asyncio.Task[Any], now: float) -> float:
    """Cancel what executes the batch once all its deadlines have come; return when they will."""
    last = max(batch.deadlines)
    if last > now:
        return last
    if not batch.overdue:
        batch.overdue = True
        task.cancel()
    return math.inf


def expired(batch: Batch, *, sent: bool = False) -> BackendUnavailableError:
    """Return the error of a caller whose time is up; ``sent``: its request has surely left."""
    if batch.channel.mutates and (sent or batch.executing):
        return OutcomeUnknownError(
            "no answer from the server in time: the change may or may not have been applied; "
            "read the entry to find out",
        )
    return BackendTimeoutError(
        "no answer from the server in time; nothing was changed; "
        "check that it is up and not overloaded, or raise timeout",
    )
