"""How callers learn what came of their calls: an answer, an error of their own, or too late."""

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
    from collections.abc import Callable, Iterable, Sequence

    from lionagi_qe.persistence.scheduling.batch import Flight


def fail_the_late(
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


def end_if_overdue(flight: Flight, task: asyncio.Task[Any], now: float) -> float:
    """Cancel what performs the flight once all its deadlines have come; return when they will."""
    last = max(flight.deadlines)
    if last > now:
        return last
    if not flight.overdue:
        flight.overdue = True
        task.cancel()
    return math.inf


def answer_all(flight: Flight, results: Sequence[Any]) -> None:
    """Give each caller that still waits its result, or its error."""
    for future, result in zip(flight.futures, results, strict=True):
        if not future.done():
            answer(future, result)


def answer(future: asyncio.Future[Any], result: Any) -> None:  # noqa: ANN401
    """Give one caller its result, or its error."""
    if isinstance(result, Exception):
        # Each caller gets an exception of its own: tracebacks grow on the shared one.
        future.set_exception(_copy(result))
    else:
        future.set_result(result)


def _copy(error: Exception) -> Exception:
    if not isinstance(error, BackendUnavailableError):
        return error
    copied = type(error)(*error.args)
    copied.outcome = error.outcome
    copied.__cause__ = error.__cause__
    return copied


def late(flight: Flight, *, sent: bool = False) -> BackendUnavailableError:
    """Return the error of a caller whose time is up; ``sent``: its request has surely left."""
    if flight.lane.mutates and (sent or flight.airborne):
        return OutcomeUnknownError(
            "no answer from the server in time: the change may or may not have been applied; "
            "read the entry to find out",
        )
    return BackendTimeoutError(
        "no answer from the server in time; nothing was changed; "
        "check that it is up and not overloaded, or raise timeout",
    )
