"""The learned test ordering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from lionagi_qe.learning.history import Candidate, Outcome


class EwmaUcb:
    """Each test an arm: its failure rate as a moving average, plus a bonus for being unsure.

    Args:
        rate: weight of the newest result in the average.
        prior: the failure rate that a test without results is taken to have.
        exploration: weight of the upper confidence bound's bonus.
    """

    def __init__(self, rate: float = 0.3, prior: float = 0.2, exploration: float = 0.1) -> None:
        self._rate = rate
        self._prior = prior
        self._exploration = exploration
        self._averages: dict[str, float] = {}
        self._visits: dict[str, int] = {}
        self._total = 0

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return the candidates by the upper bound of their failure rate."""
        del budget
        scores = [self._bound(candidate.name) for candidate in candidates]
        shuffled = rng.sample(range(len(candidates)), len(candidates))
        return sorted(shuffled, key=scores.__getitem__, reverse=True)

    def _bound(self, name: str) -> float:
        visits = self._visits.get(name, 0)
        bonus = math.sqrt(math.log(self._total + 1) / (visits + 1))
        return self._averages.get(name, self._prior) + self._exploration * bonus

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Move the averages of the tests that ran."""
        for outcome in outcomes:
            average = self._averages.get(outcome.name, self._prior)
            self._averages[outcome.name] = average + self._rate * (outcome.failed - average)
            self._visits[outcome.name] = self._visits.get(outcome.name, 0) + 1
        self._total += len(outcomes)
