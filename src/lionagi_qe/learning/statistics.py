"""Intervals: how much of a mean may be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = DEFAULT_RESAMPLES
) -> Interval:
    """Return the mean of ``values`` and the percentile bootstrap interval around it.

    Resamples with replacement and a fixed seed, so equal values give equal intervals; costs
    ``resamples`` times their number.
    """
    rng = Random(0)  # noqa: S311 - no cryptography here
    size = len(values)
    means = sorted(math.fsum(rng.choices(values, k=size)) / size for _ in range(resamples))
    tail = round(resamples * (1 - confidence) / 2)
    return Interval(math.fsum(values) / size, means[tail], means[resamples - 1 - tail])
