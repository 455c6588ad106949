"""What a series of samples has to be for a run to pass, and whether it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tests.load.samples import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.load.samples import Samples

MINUTE = 60.0
TEN_MINUTES = 600.0
MOST_RSS_GROWTH = 1.0
# Of less, what the allocator does once is more than what leaks in the time.
SHORTEST_FOR_GROWTH = 600.0
MOST_P99_RATIO = 1.2
MOST_LEVEL_RATIO = 1.1
MOST_RATE_RATIO = 1.3
# Fewer calls in a minute make a 99th percentile of the five slowest.
FEWEST_CALLS = 500


@dataclass(frozen=True)
class Verdict:
    """What was judged, in which unit, how much of it was found, and how much may be.

    What a run was too short to tell is told, and not ``judged``.
    """

    what: str
    found: float
    most: float
    unit: str = ""
    judged: bool = True

    @property
    def passed(self) -> bool:
        """Whether it holds; what should have been measured and wasn't doesn't."""
        return not self.judged or self.found <= self.most


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the rise of values a second, by Theil and Sen: the median of the slopes of all pairs.

    Up to a quarter or so of the samples may lie anywhere, a collection or a checkpoint for
    example. 0 of fewer than two samples.
    """
    at, value = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(at), k=1)
    apart = at[second] - at[first]
    if not len(apart):
        return 0.0
    return float(np.median((value[second] - value[first])[apart > 0] / apart[apart > 0]))


def growth(name: str, times: Sequence[float], mebibytes: Sequence[float]) -> Verdict:
    """Judge what should not grow at all, in MiB: by its slope, taken to ten minutes."""
    per_ten = slope(times, mebibytes) * TEN_MINUTES
    long_enough = len(times) > 1 and times[-1] - times[0] >= SHORTEST_FOR_GROWTH
    what = f"growth of {name}"
    return Verdict(what, per_ten, MOST_RSS_GROWTH, "MiB in 10 minutes", judged=long_enough)


def level(name: str, values: Sequence[float], *, slack: float, unit: str = "") -> Verdict:
    """Judge what comes and goes: the second half's median beside the first half's.

    ``slack`` is how much more is nothing, in the unit of the values, however little there was.
    """
    half = len(values) // 2
    if not half:
        return Verdict(f"level of {name}", math.nan, math.nan, unit, judged=False)
    before, after = (float(np.median(part)) for part in (values[:half], values[half:]))
    return Verdict(f"level of {name}", after, max(before * MOST_LEVEL_RATIO, before + slack), unit)


def peak(name: str, values: Sequence[float], *, slack: float, unit: str = "") -> Verdict:
    """Judge what is cleared away now and then: the second half's highest beside the first's."""
    half = len(values) // 2
    if not half:
        return Verdict(f"peak of {name}", math.nan, math.nan, unit, judged=False)
    before, after = float(max(values[:half])), float(max(values[half:]))
    return Verdict(f"peak of {name}", after, max(before * MOST_P99_RATIO, before + slack), unit)


def stretch(seconds: float) -> float:
    """Return how long a "minute" is in a run: a minute, or a sixth of a shorter run."""
    return min(MINUTE, seconds / 6)


def lasting_p99(samples: Samples, seconds: float, apart: Sequence[str] = ()) -> list[Verdict]:
    """Judge the last minute's p99 beside the second minute's: of all calls, and of each kind.

    A kind of which there were fewer than ``FEWEST_CALLS`` in one of these minutes is judged as part
    of all calls alone. Kinds that are ``apart`` are no part of all calls.
    """
    minute = stretch(seconds)
    judged = minute >= MINUTE
    second = samples.between(minute, 2 * minute)
    last = samples.between(seconds - minute, seconds)
    together = (part.where(~np.isin(part.kind, apart)) for part in (second, last))
    verdicts = [_slower("all calls", *together, judged=judged)]
    for kind in samples.kinds():
        parts = second.of_kind(kind), last.of_kind(kind)
        if min(map(len, parts)) >= FEWEST_CALLS:
            verdicts.append(_slower(kind, *parts, judged=judged))
    return verdicts


def _slower(name: str, second: Samples, last: Samples, *, judged: bool) -> Verdict:
    before, after = (percentile(part.waits(), 99) * 1000 for part in (second, last))
    what = f"p99 of {name}, last minute"
    return Verdict(what, after, before * MOST_P99_RATIO, "ms", judged=judged)


def windows_ratio(name: str, costs: Sequence[float], share: float = 0.05) -> Verdict:
    """Judge that the end costs what the start does: medians of the first and the last stretch.

    The ratio of the dearer to the cheaper end counts: what gets cheaper as it goes on was dear at
    the start. ``share`` of all costs are an end, three at least.
    """
    size = max(round(len(costs) * share), min(3, len(costs)))
    start, end = (float(np.median(part)) for part in (costs[:size], costs[-size:]))
    return Verdict(name, max(end / start, start / end), MOST_RATE_RATIO, "times")
