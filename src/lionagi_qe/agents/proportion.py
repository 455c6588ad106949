"""How far a share of few trials can be trusted."""

from __future__ import annotations

import math

# Of the normal distribution, for 95 % confidence.
_Z = 1.959963984540054


def wilson(count: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of ``count`` in ``trials``; (0, 1) of no trials.

    Unlike the usual approximation it keeps its confidence for few trials and rare events.
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
