"""The learned test ordering: a bandit with one arm a test, aware of suites, change and cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lionagi_qe.learning.arrangement import arrange
from lionagi_qe.learning.errors import LearningStateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from lionagi_qe.learning.history import Candidate, Outcome

SCHEMA = 1

# Weight of the n-th newest result: 0.6**n in the short memory, 0.95**n in the long one.
_SHORT_DISCOUNT = 0.6
_LONG_DISCOUNT = 0.95
# What a result from a cycle with an entirely different suite still counts in the long memory.
_FOREIGN_WEIGHT = 0.2
# The failure rate of new tests counts as one result beside a test's own.
_PRIOR_WEIGHT = 1.0
# Of the upper confidence bound's bonus.
_EXPLORATION = 0.1
# A test that runs all of the changed code: how many of its results the change outweighs.
_CHANGE_WEIGHT = 3.0

_RESULTS_KEPT = 20
_SUITES_KEPT = 50
_FORGET_AFTER = 1_000
_SWEEP_EVERY = 100


class Result(NamedTuple):
    """How a test ended, and in which cycle."""

    cycle: int
    failed: int


@dataclass(slots=True)
class Rate:
    """A failure rate over all tests of a kind, starting at one failure in two results."""

    failures: float = 1.0
    results: float = 2.0

    def add(self, *, failed: bool) -> None:
        """Count one result."""
        self.failures += failed
        self.results += 1

    @property
    def value(self) -> float:
        """The share of failures."""
        return self.failures / self.results


@dataclass(slots=True)
class Arm:
    """A test's number, which suites hold instead of its name, and its results, newest first."""

    number: int
    results: tuple[Result, ...]


@dataclass(slots=True)
class LearnedOrder:
    """Orders tests by how likely they fail, an upper bound for those it knows little of.

    A test's failure rate is the mean of two memories of its last results. The short one only asks
    how long ago a result was; the long one also how much the cycle it came from resembles the
    coming one, by the Jaccard index of their sets of tests: CI systems mix branches and kinds of
    runs, and a test behaves as it did in the same kind. A test without results is taken to fail
    as often as new tests did so far. Under a budget, ``arrange`` weighs rates against durations.

    All there is to it is in ``to_state``: JSON data from which ``from_state`` makes an equal
    policy. Ordering costs about ten steps a test; observing, one.
    """

    cycles: int = 0
    new_tests: Rate = field(default_factory=Rate)
    changed_tests: Rate = field(default_factory=Rate)
    _arms: dict[str, Arm] = field(default_factory=dict[str, Arm])
    _suites: dict[int, frozenset[int]] = field(default_factory=dict[int, frozenset[int]])
    _next_number: int = 0

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        """Return the indices of all candidates, first to run first; ``rng`` breaks ties."""
        scores = self.scores(candidates)
        shuffled = rng.sample(range(len(candidates)), len(candidates))
        order = arrange(
            [scores[index] for index in shuffled],
            [candidates[index].duration for index in shuffled],
            budget,
        )
        return [shuffled[index] for index in order]

    def scores(self, candidates: Sequence[Candidate]) -> list[float]:
        """Return the upper bound of each candidate's failure rate in the coming cycle."""
        likeness = self._likeness(candidates)
        scores: dict[tuple[str, float], float] = {}
        for candidate in candidates:
            arm = (candidate.name, candidate.touched)
            if arm not in scores:
                scores[arm] = self._score(candidate, likeness)
        return [scores[candidate.name, candidate.touched] for candidate in candidates]

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        """Take note of a cycle: what it could run, and how those that ran ended, oldest first."""
        self.cycles += 1
        touched = {candidate.name for candidate in candidates if candidate.touched}
        # A cycle in which all is well does not tell where failures are when there are some.
        tells_of_change = any(outcome.failed for outcome in outcomes)
        for outcome in outcomes:
            if tells_of_change and outcome.name in touched:
                self.changed_tests.add(failed=outcome.failed)
            arm = self._arms.get(outcome.name)
            if arm is None:
                self.new_tests.add(failed=outcome.failed)
                arm = self._arms[outcome.name] = Arm(self._next_number, ())
                self._next_number += 1
            newest = Result(self.cycles, int(outcome.failed))
            arm.results = (newest, *arm.results[: _RESULTS_KEPT - 1])
        self._suites[self.cycles] = self._numbers(candidates)
        self._suites.pop(self.cycles - _SUITES_KEPT, None)
        if self.cycles % _SWEEP_EVERY == 0:
            self._forget()

    def recent_results(self, name: str) -> tuple[Result, ...]:
        """Return the last results of a test, newest first; none for an unknown one."""
        arm = self._arms.get(name)
        return arm.results if arm else ()

    # Scores

    def _numbers(self, candidates: Sequence[Candidate]) -> frozenset[int]:
        known = {candidate.name for candidate in candidates} & self._arms.keys()
        return frozenset(self._arms[name].number for name in known)

    def _likeness(self, candidates: Sequence[Candidate]) -> dict[int, float]:
        """Return {cycle: Jaccard index of its suite and the candidates, unknown tests aside}."""
        coming = self._numbers(candidates)
        return {
            cycle: len(coming & suite) / (len(coming | suite) or 1)
            for cycle, suite in self._suites.items()
        }

    def _score(self, candidate: Candidate, likeness: dict[int, float]) -> float:
        results = self.recent_results(candidate.name)
        short = long = short_evidence = long_evidence = 0.0
        recency = long_recency = 1.0
        for cycle, failed in results:
            relevance = long_recency * (
                _FOREIGN_WEIGHT + (1 - _FOREIGN_WEIGHT) * likeness.get(cycle, 0.0)
            )
            short += recency * failed
            short_evidence += recency
            long += relevance * failed
            long_evidence += relevance
            recency *= _SHORT_DISCOUNT
            long_recency *= _LONG_DISCOUNT

        def rate(change: float) -> float:
            weight = _PRIOR_WEIGHT + change
            prior = _PRIOR_WEIGHT * self.new_tests.value + change * self.changed_tests.value
            of_short = (short + prior) / (short_evidence + weight)
            return (of_short + (long + prior) / (long_evidence + weight)) / 2

        evidence = (short_evidence + long_evidence) / 2 + _PRIOR_WEIGHT
        bonus = _EXPLORATION * math.sqrt(math.log(self.cycles + 2) / evidence)
        # What was learned of change may move a test forward, never back.
        return max(rate(0.0), rate(_CHANGE_WEIGHT * candidate.touched)) + bonus

    def _forget(self) -> None:
        """Drop the tests that have not run for long, so that renamed ones don't pile up."""
        oldest = self.cycles - _FORGET_AFTER
        self._arms = {
            name: arm for name, arm in self._arms.items() if arm.results[0].cycle > oldest
        }

    # State

    def to_state(self) -> dict[str, Any]:
        """Return everything learned as JSON data."""
        return {
            "schema": SCHEMA,
            "cycles": self.cycles,
            "next_number": self._next_number,
            "new_tests": [self.new_tests.failures, self.new_tests.results],
            "changed_tests": [self.changed_tests.failures, self.changed_tests.results],
            "tests": {
                name: {"number": arm.number, "results": [list(result) for result in arm.results]}
                for name, arm in self._arms.items()
            },
            "suites": {str(cycle): sorted(suite) for cycle, suite in self._suites.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LearnedOrder:
        """Return the policy that ``to_state`` described.

        Raises:
            LearningStateError: the state is of another schema, or no state at all.

        """
        schema = state.get("schema")
        if schema != SCHEMA:
            raise LearningStateError(
                f"learned test order: its state has schema {schema!r}, this version reads {SCHEMA};"
                " upgrade, or start over with `aqe learn reset`"
            )
        try:
            return cls(
                state["cycles"],
                Rate(*state["new_tests"]),
                Rate(*state["changed_tests"]),
                {
                    name: Arm(arm["number"], tuple(Result(*result) for result in arm["results"]))
                    for name, arm in state["tests"].items()
                },
                {int(cycle): frozenset(suite) for cycle, suite in state["suites"].items()},
                state["next_number"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LearningStateError(
                f"learned test order: its state is damaged ({error!r}); start over with"
                " `aqe learn reset`"
            ) from error
