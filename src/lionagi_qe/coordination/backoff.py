"""How long to wait before a failed job is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from lionagi_qe.persistence.entry import check_seconds

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
