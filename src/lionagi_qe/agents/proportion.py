"""How far a share of few trials can be trusted, also where trials are alike in clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the normal distribution, for 95 % confidence.
_Z = 1.959963984540054


def wilson(count: float, trials: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of ``count`` in ``trials``; (0, 1) of no trials.

    Unlike the usual approximation it keeps its confidence for few trials and rare events. Both may
    be fractions: of effective trials, see ``clustered``.
    """
    if trials == 0:
        return 0.0, 1.0
    share = count / trials
    weight = 1 + _Z**2 / trials
    centre = (share + _Z**2 / (2 * trials)) / weight
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)) / weight
    low = 0.0 if count == 0 else max(centre - half, 0.0)
    high = 1.0 if count == trials else min(centre + half, 1.0)
    return low, high


@dataclass(frozen=True, slots=True)
class Share:
    """A share of trials, estimated.

    Attributes:
        share: the estimate.
        low: lower end of its 95 % interval.
        high: upper end.
        effective: how many independent trials tell as much.
    """

    share: float
    low: float
    high: float
    effective: float


def clustered(clusters: Sequence[tuple[int, int]]) -> Share:
    """Return the share of trials that come in clusters, each of trials that may be alike.

    Trials of one cluster are worth fewer than they are, by the design effect (Kish, Survey
    Sampling, 1965) of the intracluster correlation, which the analysis of variance estimates
    (Ridout, Demetrio and Firth, Biometrics 55, 1999). Where nothing tells how alike they are, they
    count as one trial a cluster.

    Args:
        clusters: of each how many trials count, and how many there were.

    """
    sizes = [trials for _, trials in clusters if trials]
    counts = [count for count, trials in clusters if trials]
    if not sizes:
        return Share(0.0, 0.0, 1.0, 0.0)
    correlation = _correlation(counts, sizes)
    weights = [size / (1 + (size - 1) * correlation) for size in sizes]
    effective = sum(weights)
    share = sum(w * c / n for w, c, n in zip(weights, counts, sizes, strict=True)) / effective
    low, high = wilson(share * effective, effective)
    return Share(share, low, high, effective)


def _correlation(counts: Sequence[int], sizes: Sequence[int]) -> float:
    clusters, total = len(sizes), sum(sizes)
    if clusters < 2 or total == clusters:  # noqa: PLR2004 - between two at least
        return 1.0
    squares = sum(count**2 / size for count, size in zip(counts, sizes, strict=True))
    between = (squares - sum(counts) ** 2 / total) / (clusters - 1)
    within = (sum(counts) - squares) / (total - clusters)
    usual = (total - sum(size**2 for size in sizes) / total) / (clusters - 1)
    spread = between + (usual - 1) * within
    # All alike, or none that counts: then nothing tells.
    if within <= 0 or spread <= 0:
        return 1.0
    return min(max((between - within) / spread, 0.0), 1.0)
