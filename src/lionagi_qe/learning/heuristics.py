"""The plain orderings that a learned one is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
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

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of the tests that ran in a cycle, in the order in which they ended."""
        ...


class RandomOrder:
    """Any order is as good as another."""

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return a shuffled order."""
        del budget
        return rng.sample(range(len(candidates)), len(candidates))

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn nothing."""


class RecentFailureSort:
    """The one-line sort: most recent results first, failures before passes.

    Tests are compared by their last ``depth`` results, newest first, a failure above an unknown
    result above a pass; ties are broken at random.
    """

    def __init__(self, depth: int = 4) -> None:
        self._depth = depth
        self._results: dict[str, tuple[int, ...]] = {}

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return the candidates by their recent results."""
        del budget
        unknown = (0,) * self._depth
        keys = [self._results.get(candidate.name, unknown) for candidate in candidates]
        shuffled = rng.sample(range(len(candidates)), len(candidates))
        return sorted(shuffled, key=keys.__getitem__, reverse=True)

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Remember the last results of each test."""
        for outcome in outcomes:
            past = self._results.get(outcome.name, (0,) * self._depth)
            self._results[outcome.name] = (1 if outcome.failed else -1, *past[:-1])


def optimal_order(candidates: Sequence[Candidate], failed: Sequence[bool]) -> list[int]:
    """Return the order of someone who knows the results: failures first, short ones before.

    The upper bound of an evaluation, no policy: with equal worth of all failures the shortest
    ones first is how most of them fit into a budget.
    """
    return sorted(
        range(len(candidates)), key=lambda index: (not failed[index], candidates[index].duration)
    )
