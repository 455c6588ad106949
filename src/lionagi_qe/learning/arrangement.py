"""From scores to an order that makes the most of a time budget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lionagi_qe.learning.napfd import schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

# How much a test's duration weighs in choosing what runs: 0 not at all, 1 as failures per time.
_COST_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)


def arrange(scores: Sequence[float], durations: Sequence[float], budget: float) -> list[int]:
    """Return all indices: first those worth running in the budget, by score, then the rest.

    Which tests to run is a knapsack problem. Greedy choices that weigh the duration more or less
    are compared by the value of the schedule that each gives, and the best is taken. Ties keep
    the order of the arguments. Costs six sorts.

    Args:
        scores: expected failures of each test, not negative.
        durations: how long each takes.
        budget: total time, in the unit of ``durations``.

    """
    by_score = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    if math.fsum(durations) <= budget:
        return by_score
    best: set[int] = set()
    best_value = -1.0
    for exponent in _COST_EXPONENTS:
        chosen = set(schedule(_by_worth(scores, durations, exponent), durations, budget))
        ranked = [scores[index] for index in by_score if index in chosen]
        value = _value(ranked, len(scores))
        if value > best_value:
            best, best_value = chosen, value
    return [index for index in by_score if index in best] + [
        index for index in by_score if index not in best
    ]


def _by_worth(scores: Sequence[float], durations: Sequence[float], exponent: float) -> list[int]:
    worth = [
        score / duration**exponent if duration > 0 else math.inf
        for score, duration in zip(scores, durations, strict=True)
    ]
    return sorted(range(len(worth)), key=worth.__getitem__, reverse=True)


def _value(ranked: Sequence[float], tests: int) -> float:
    """Return the expected NAPFD of a schedule, up to a factor that all schedules share."""
    return sum(score * (1 - (rank + 0.5) / tests) for rank, score in enumerate(ranked))
