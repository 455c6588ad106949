"""How long to wait before a failed job is tried again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.entry import MAX_TTL_SECONDS, check_seconds

# From the number of the attempt that failed (1 for the first) to seconds.
Backoff: TypeAlias = Callable[[int], float]
_MOST_DOUBLINGS = 64


def exponential(first: float = 1.0, most: float = 300.0, jitter: float = 0.5) -> Backoff:
    """Return a backoff that doubles from ``first`` to ``most`` seconds.

    Up to the share ``jitter`` is taken off at random, so that jobs that failed together don't
    return together.
    """
    check_seconds("first", first)
    check_seconds("most", most)

    def seconds(attempt: int) -> float:
        full = min(most, first * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
        return full * (1 - jitter * random.random())  # noqa: S311 - no secret

    return seconds


def check_delay(delay: object, what: str = "delay") -> int:
    """Return a delay of seconds (or a timedelta), which may be 0, in milliseconds."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        msg = f"{what} {delay!r}: is seconds (a number) or a timedelta"
        raise InvalidArgumentError(msg)
    if not 0 <= seconds <= MAX_TTL_SECONDS:
        msg = f"{what} {delay!r}: must be from 0 to {MAX_TTL_SECONDS} seconds"
        raise InvalidArgumentError(msg)
    return math.ceil(seconds * 1000)
