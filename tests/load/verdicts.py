"""What a series of samples has to be for a run to pass, and whether it is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tests.load.samples import percentile, percentile_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
# How much of the processors may be used in a minute whose latencies tell something of ours, and how
# many processors others may use more in the one than in the other.
MOST_BUSY, MOST_APART = 0.5, 0.25
TOO_SHORT = "too short to tell"
TOO_BUSY = "can't be told: others used the machine"


@dataclass(frozen=True)
class Verdict:
    """What was judged, in which unit, how much of it was found, and how much may be.

    ``untold`` is why a run can't tell, which then judges nothing.
    """

    what: str
    found: float
    most: float
    unit: str = ""
    untold: str = ""

    @property
    def passed(self) -> bool:
        """Whether it holds; what should have been measured and wasn't doesn't."""
        return bool(self.untold) or self.found <= self.most


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
    untold = "" if long_enough else TOO_SHORT
    return Verdict(f"growth of {name}", per_ten, MOST_RSS_GROWTH, "MiB in 10 minutes", untold)


def level(name: str, values: Sequence[float], *, slack: float, unit: str = "") -> Verdict:
    """Judge what comes and goes: the second half's median beside the first half's.

    ``slack`` is how much more is nothing, in the unit of the values, however little there was.
    """
    half = len(values) // 2
    if not half:
        return Verdict(f"level of {name}", math.nan, math.nan, unit, TOO_SHORT)
    before, after = (float(np.median(part)) for part in (values[:half], values[half:]))
    return Verdict(f"level of {name}", after, max(before * MOST_LEVEL_RATIO, before + slack), unit)


def peak(name: str, values: Sequence[float], *, slack: float, unit: str = "") -> Verdict:
    """Judge what is cleared away now and then: the second half's highest beside the first's."""
    half = len(values) // 2
    if not half:
        return Verdict(f"peak of {name}", math.nan, math.nan, unit, TOO_SHORT)
    before, after = float(max(values[:half])), float(max(values[half:]))
    return Verdict(f"peak of {name}", after, max(before * MOST_P99_RATIO, before + slack), unit)


def stretch(seconds: float) -> float:
    """Return how long a "minute" is in a run: a minute, or a sixth of a shorter run."""
    return min(MINUTE, seconds / 6)


def lasting_p99(
    samples: Samples,
    seconds: float,
    apart: Sequence[str] = (),
    machine: Mapping[str, Sequence[float]] | None = None,
) -> list[Verdict]:
    """Judge the last minute's p99 beside the second minute's: of all calls, and of each kind.

    A kind is slower where that is more than chance: its p99 is that of a few calls, and there are
    many kinds. One of which there were fewer than ``FEWEST_CALLS`` in one of these minutes is
    judged as part of all calls alone. Kinds that are ``apart`` are no part of all calls. Of the
    ``machine`` the processors are known that ``others`` used, clients and servers: where all
    together were more than ``MOST_BUSY`` of a minute's, or others used in one minute ``MOST_APART``
    more than in the other, latencies are others' as well, and nothing is judged.
    """
    minute = stretch(seconds)
    ends = (2 * minute, seconds)
    untold = "" if minute >= MINUTE else TOO_SHORT
    if machine and _busy(machine, [(end - minute, end) for end in ends]):
        untold = untold or TOO_BUSY
    second, last = (samples.between(end - minute, end) for end in ends)
    waits = [part.where(~np.isin(part.kind, apart)).waits() * 1000 for part in (second, last)]
    before, after = (percentile(each, 99) for each in waits)
    verdicts = [_slower("all calls, last minute", before, after, untold)]
    for kind in samples.kinds():
        parts = [part.of_kind(kind).waits() * 1000 for part in (second, last)]
        if min(map(len, parts)) >= FEWEST_CALLS:
            (_, before), (after, _) = (percentile_bounds(each, 99) for each in parts)
            verdicts.append(_slower(f"{kind}, last minute, at least", before, after, untold))
    return verdicts


def _busy(machine: Mapping[str, Sequence[float]], minutes: Sequence[tuple[float, float]]) -> bool:
    """Return whether others used the machine in two minutes, by samples of the time before."""
    used = [
        {
            whose: np.mean(
                [
                    value
                    for at, value in zip(machine["at"], values, strict=True)
                    if start < at <= end
                ]
            )
            for whose, values in machine.items()
            if whose != "at"
        }
        for start, end in minutes
    ]
    others = [each["others"] for each in used]
    together = max(sum(each.values()) for each in used)
    return together > MOST_BUSY * (os.cpu_count() or 1) or max(others) - min(others) > MOST_APART


def _slower(what: str, before: float, after: float, untold: str) -> Verdict:
    return Verdict(f"p99 of {what}", after, before * MOST_P99_RATIO, "ms", untold)


def windows_ratio(name: str, costs: Sequence[float], share: float = 0.05) -> Verdict:
    """Judge that the end costs what the start does: medians of the first and the last stretch.

    The ratio of the dearer to the cheaper end counts: what gets cheaper as it goes on was dear at
    the start. ``share`` of all costs are an end, three at least.
    """
    size = max(round(len(costs) * share), min(3, len(costs)))
    start, end = (float(np.median(part)) for part in (costs[:size], costs[-size:]))
    return Verdict(name, max(end / start, start / end), MOST_RATE_RATIO, "times")
