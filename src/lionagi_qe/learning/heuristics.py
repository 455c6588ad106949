"""The plain orderings that a learned one is measured against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from lionagi_qe.learning.history import Candidate, Outcome


class Ordering(Protocol):
    """Decides in which order a cycle's tests run, and learns from how they ended."""

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return the indices of all ``candidates``, first to run first.

        Args:
            candidates: the cycle's tests, in an order without meaning.
            budget: the time there is, in the unit of the durations.
            rng: for ties and exploration.

        """
        ...

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Take note of a cycle: what it could run, and how those that ran ended, oldest first."""
        ...


class RandomOrder:
    """Any order is as good as another."""

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return a shuffled order."""
        del budget
        return rng.sample(range(len(candidates)), len(candidates))

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Learn nothing."""


_RECENT = 4


def recent_failure_order(
    candidates: Sequence[Candidate], recent: Callable[[str], Sequence[bool]], rng: Random
) -> list[int]:
    """Return the candidates by their last four results, failures before passes.

    The newest result decides first. A failure stands above an unknown result above a pass; ties
    are broken at random.

    Args:
        candidates: the cycle's tests.
        recent: tells of a test whether its last runs failed, newest first.
        rng: for ties.

    """
    keys = [recent_failure_key(recent(candidate.name)) for candidate in candidates]
    shuffled = rng.sample(range(len(candidates)), len(candidates))
    return sorted(shuffled, key=keys.__getitem__, reverse=True)


def recent_failure_key(results: Sequence[bool]) -> tuple[int, ...]:
    """Return what ``recent_failure_order`` sorts by, the greatest first.

    Args:
        results: whether a test's last runs failed, newest first.

    """
    known = [1 if failed else -1 for failed in results[:_RECENT]]
    return (*known, *[0] * (_RECENT - len(known)))


class RecentFailureSort:
    """The one-line sort, ``recent_failure_order``, with the results that it needs."""

    def __init__(self) -> None:
        self._results: dict[str, list[bool]] = {}

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return the candidates by their recent results."""
        del budget
        return recent_failure_order(candidates, lambda name: self._results.get(name, []), rng)

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Remember the last results of each test."""
        del candidates
        for outcome in outcomes:
            past = self._results.get(outcome.name, [])
            self._results[outcome.name] = [outcome.failed, *past[: _RECENT - 1]]


def optimal_order(candidates: Sequence[Candidate], failed: Sequence[bool]) -> list[int]:
    """Return the order of someone who knows the results: failures first, short ones before.

    The upper bound of an evaluation, no policy: with equal worth of all failures the shortest
    ones first is how most of them fit into a budget.
    """
    return sorted(
        range(len(candidates)), key=lambda index: (not failed[index], candidates[index].duration)
    )


class EwmaUcb:
    """The textbook bandit: a moving average of each test's failures plus a bonus for doubt.

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

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Move the averages of the tests that ran."""
        del candidates
        for outcome in outcomes:
            average = self._averages.get(outcome.name, self._prior)
            self._averages[outcome.name] = average + self._rate * (outcome.failed - average)
            self._visits[outcome.name] = self._visits.get(outcome.name, 0) + 1
        self._total += len(outcomes)
