"""By what factor durations changed, with an interval that supposes no distribution.

The estimate is that of Hodges and Lehmann (1963): the median of all differences between a later
and an earlier value, here of logarithms, so that it is a ratio. Its interval are the differences
that the exact distribution of Mann and Whitney's U leaves out at neither end (Hollander, Wolfe and
Chicken, Nonparametric Statistical Methods, 3rd ed., 2014, section 4.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Shift:
    """By what factor later durations differ from earlier ones.

    Attributes:
        ratio: the estimate.
        low: lower end of its interval.
        high: upper end.
    """

    ratio: float
    low: float
    high: float


def shift_of(
    earlier: Sequence[float], later: Sequence[float], confidence: float = CONFIDENCE
) -> Shift | None:
    """Return the factor; None for too few durations, all above 0, to be sure of anything.

    Costs the product of their numbers.

    Args:
        earlier: durations, or ratios of them.
        later: those to be compared with them.
        confidence: with which the interval holds the true factor, below 1.

    """
    left_out = _left_out(len(earlier), len(later), confidence)
    if left_out is None:
        return None
    differences = sorted(math.log(b) - math.log(a) for a in earlier for b in later)
    ends = differences[left_out], differences[-1 - left_out]
    return Shift(*map(math.exp, (median(differences), *ends)))


@cache
def _left_out(first: int, second: int, confidence: float) -> int | None:
    """Return how many differences lie outside of the interval at either end; None if none may."""
    if not first or not second:
        return None
    counts = _ways(first, second)
    tail, most = 0, (1 - confidence) / 2 * math.comb(first + second, second)
    for value, count in enumerate(counts):
        tail += count
        if tail > most:
            return value - 1 if value else None
    return None


def _ways(first: int, second: int) -> list[int]:
    """Return in how many orders of the values U is 0, 1, ...: a Gaussian binomial coefficient."""
    ways = [1] + [0] * (first * second)
    for step in range(1, second + 1):
        # Times (1 - q^(first + step)), and divided by (1 - q^step).
        for at in range(len(ways) - 1, first + step - 1, -1):
            ways[at] -= ways[at - first - step]
        for at in range(step, len(ways)):
            ways[at] += ways[at - step]
    return ways
