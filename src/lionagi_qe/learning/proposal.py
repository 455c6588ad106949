"""Proposed test orders as plain data: made from a copy of what was learned, wherever that is.

The tests of a coming run are known only once they are collected, somewhere else perhaps. So a
proposal ranks those known from earlier runs, and says where all that turn out to be new go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.arrangement import arrange
from lionagi_qe.learning.heuristics import recent_failure_key
from lionagi_qe.learning.history import Candidate
from lionagi_qe.learning.policy import LearnedOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.learning.shadow import Acting

# No test is called this, so nothing was learned of it.
_NEW = ""
_USUAL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Ranking:
    """Places of known tests, and the one place of all others; equal places keep their order."""

    places: Mapping[str, int]
    new: int

    def arrange(self, names: Sequence[str]) -> list[int]:
        """Return the indices of ``names``, first to run first."""
        return sorted(range(len(names)), key=lambda index: self.places.get(names[index], self.new))

    def only(self, names: Iterable[str]) -> Ranking:
        """Return the ranking of these; all other tests go last."""
        last = max([*self.places.values(), self.new]) + 1
        kept = {name: self.places[name] for name in names if name in self.places}
        return Ranking(kept, last)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Both rankings, and which of them is to be run.

    Attributes:
        acting: "learned" or "heuristic".
        reason: why that was switched last, if it ever was.
        learned: the ranking that was learned.
        heuristic: that of the plain heuristic, the recent failures first.
    """

    acting: Acting
    reason: str | None
    learned: Ranking
    heuristic: Ranking

    @property
    def chosen(self) -> Ranking:
        """The ranking that is to be run."""
        return self.learned if self.acting == "learned" else self.heuristic

    def only(self, names: Sequence[str]) -> Proposal:
        """Return the proposal with all tests but these last."""
        return replace(self, learned=self.learned.only(names), heuristic=self.heuristic.only(names))


def propose(
    learned_state: Mapping[str, Any], known: Sequence[Candidate], budget: float
) -> Proposal:
    """Rank the known tests; the same learned state and tests make the same proposal.

    Args:
        learned_state: what ``TestOrdering.learned_state`` returned.
        known: the tests of earlier runs.
        budget: the time there is, in the unit of their durations.

    Raises:
        LearningStateError: the learned state is one that this version can't read.

    """
    state = learned_state["policy"]
    policy = LearnedOrder() if state is None else LearnedOrder.from_state(state)
    usual = median(test.duration for test in known) if known else _USUAL_SECONDS
    tests = [*known, Candidate(_NEW, usual)]
    scores = policy.scores(tests)
    learned = arrange(scores, [test.duration for test in tests], budget)
    keys = [
        recent_failure_key([bool(result.failed) for result in policy.recent_results(test.name)])
        for test in tests
    ]
    heuristic = sorted(range(len(tests)), key=keys.__getitem__, reverse=True)
    return Proposal(
        learned_state["acting"],
        learned_state["reason"],
        _ranking(tests, learned, scores),
        _ranking(tests, heuristic, keys),
    )


def _ranking(tests: Sequence[Candidate], order: Sequence[int], keys: Sequence[object]) -> Ranking:
    """Give tests that follow each other with equal keys the same place."""
    places: dict[str, int] = {}
    place = 0
    for position, index in enumerate(order):
        if position and keys[index] != keys[order[position - 1]]:
            place += 1
        places[tests[index].name] = place
    return Ranking(places, places.pop(_NEW))
