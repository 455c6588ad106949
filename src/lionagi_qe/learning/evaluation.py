"""Replays of CI histories: what an ordering would have found, online and from a cold start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.detection import share_for, share_until_failure
from lionagi_qe.learning.heuristics import EwmaUcb, RandomOrder, RecentFailureSort, optimal_order
from lionagi_qe.learning.history import Outcome
from lionagi_qe.learning.napfd import napfd, schedule
from lionagi_qe.learning.policy import LearnedOrder
from lionagi_qe.learning.statistics import Interval, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.learning.heuristics import Ordering
    from lionagi_qe.learning.history import Candidate, Cycle
    from lionagi_qe.learning.ordering import TestOrdering

DEFAULT_SEEDS = 20
# Durations are summed in another order than the budget was: room for the rounding.
_ROUNDING = 1 + 1e-9

OPTIMAL = "optimal"

POLICIES: dict[str, Callable[[], Ordering]] = {
    "learned": LearnedOrder,
    "ewma-ucb": EwmaUcb,
    "recent-failure": RecentFailureSort,
    "random": RandomOrder,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an ordering reached: the NAPFD of each failing cycle, averaged over the seeds."""

    policy: str
    budget: float
    napfd: dict[int, float]
    interval: Interval


def replay(
    ordering: Ordering,
    cycles: Sequence[Cycle],
    budget: float,
    seed: int,
    *,
    observe_all: bool = False,
) -> dict[int, float]:
    """Return {cycle number: NAPFD} of the failing cycles, replayed one after the other.

    Before each cycle the ordering sees its candidates in a shuffled order, never a result; after
    it, the results of the tests that fitted into the budget, in the order of the history.

    Args:
        ordering: a fresh one, for a cold start.
        cycles: in ascending order.
        budget: the fraction of each cycle's total duration that there is time for.
        seed: of the shuffling and of the ordering's own choices.
        observe_all: show the results of the tests that did not run, too, as the RETECS data
            sets' LastResults do.

    """
    scores: dict[int, float] = {}
    for cycle in cycles:
        rng = Random(f"{seed}/{cycle.number}")  # noqa: S311 - no cryptography here
        scheduled = _decide(ordering, cycle.candidates, budget * cycle.duration, rng)
        if cycle.failures:
            scores[cycle.number] = napfd(scheduled, cycle.failed)
        ran = range(len(cycle.candidates)) if observe_all else sorted(scheduled)
        ordering.observe(
            cycle.candidates,
            [Outcome(cycle.candidates[index].name, cycle.failed[index]) for index in ran],
        )
    return scores


async def replay_kept(
    ordering: TestOrdering, cycles: Sequence[Cycle], budget: float, seed: int
) -> dict[int, float]:
    """Return the same for a project's test order, its state in the memory from cycle to cycle.

    Whose order runs is up to it, so this is what a user of ``aqe run`` would have had.
    """
    scores: dict[int, float] = {}
    for cycle in cycles:
        rng = Random(f"{seed}/{cycle.number}")  # noqa: S311 - no cryptography here
        shuffled = rng.sample(range(len(cycle.candidates)), len(cycle.candidates))
        time = budget * cycle.duration
        decided = await ordering.decide([cycle.candidates[index] for index in shuffled], time)
        durations = [candidate.duration for candidate in cycle.candidates]
        order = [shuffled[index] for index in decided.order]
        scheduled = schedule(order, durations, time * _ROUNDING)
        if cycle.failures:
            scores[cycle.number] = napfd(scheduled, cycle.failed)
        await ordering.settle(
            decided,
            [Outcome(cycle.candidates[n].name, cycle.failed[n]) for n in sorted(scheduled)],
        )
    return scores


@dataclass(frozen=True, slots=True)
class Detection:
    """What a part of the tests, chosen by a confidence, would have found.

    Attributes:
        confidence: the probability that was asked for.
        failing: failing cycles for which there were enough before them to go by.
        found: in how many of them the part had a failure.
        awaited: failing cycles before that, of which all tests ran.
        share: of the tests' time, the mean over ``failing``; 1 where there are none.
    """

    confidence: float
    failing: int
    found: int
    awaited: int
    share: float


def replay_parts(cycles: Sequence[Cycle], confidence: float, seed: int = 0) -> Detection:
    """Choose a part of each cycle's tests by what came before, and see whether it has a failure.

    All tests run in all cycles, so that it is known what the part would have missed.

    Args:
        cycles: in ascending order.
        confidence: see ``learning.detection.share_for``.
        seed: of the shuffling and of the order's own choices.

    """
    ordering = LearnedOrder()
    known: set[str] = set()
    shares: list[float] = []
    taken: list[float] = []
    found = awaited = 0
    for cycle in cycles:
        rng = Random(f"{seed}/{cycle.number}")  # noqa: S311 - no cryptography here
        order = _decide(ordering, cycle.candidates, math.inf, rng)
        durations = [test.duration if test.name in known else 0.0 for test in cycle.candidates]
        needed = share_until_failure(order, durations, cycle.failed)
        if needed is not None:
            share = share_for(confidence, shares)
            if share is None:
                awaited += 1
            else:
                found += needed <= share
                taken.append(share)
            shares.append(needed)
        ordering.observe(
            cycle.candidates,
            [
                Outcome(test.name, failed)
                for test, failed in zip(cycle.candidates, cycle.failed, strict=True)
            ],
        )
        known.update(test.name for test in cycle.candidates)
    mean = math.fsum(taken) / len(taken) if taken else 1.0
    return Detection(confidence, len(taken), found, awaited, mean)


def _decide(
    ordering: Ordering, candidates: Sequence[Candidate], time: float, rng: Random
) -> list[int]:
    """Return the indices of the candidates that run; no result enters here."""
    shuffled = rng.sample(range(len(candidates)), len(candidates))
    order = ordering.order([candidates[index] for index in shuffled], time, rng)
    durations = [candidate.duration for candidate in candidates]
    return schedule([shuffled[index] for index in order], durations, time * _ROUNDING)


def evaluate(  # noqa: PLR0913 - keyword-only settings with defaults
    policy: str,
    cycles: Sequence[Cycle],
    budget: float,
    *,
    seeds: int = DEFAULT_SEEDS,
    observe_all: bool = False,
    replayed: Callable[[], None] | None = None,
) -> Evaluation:
    """Replay a policy (a name in POLICIES, or "optimal") with several seeds.

    ``replayed`` is called after each seed's replay; the optimum takes none.

    Raises:
        InvalidArgumentError: an unknown policy, a budget outside (0, 1], no failing cycle.

    """
    if not 0 < budget <= 1:
        raise InvalidArgumentError(f"budget {budget!r}: is a fraction above 0 and at most 1")
    if not any(cycle.failures for cycle in cycles):
        raise InvalidArgumentError("no cycle of the history has a failure: nothing to measure")
    if policy == OPTIMAL:
        runs = [_optimum(cycles, budget)]
    elif policy in POLICIES:
        runs = []
        for seed in range(seeds):
            runs.append(replay(POLICIES[policy](), cycles, budget, seed, observe_all=observe_all))
            if replayed is not None:
                replayed()
    else:
        known = ", ".join((*POLICIES, OPTIMAL))
        raise InvalidArgumentError(f"policy {policy!r}: not known; choose one of {known}")
    return mean_of(policy, budget, runs)


def mean_of(policy: str, budget: float, runs: Sequence[dict[int, float]]) -> Evaluation:
    """Return the evaluation of several replays of the same history."""
    scores = {number: math.fsum(run[number] for run in runs) / len(runs) for number in runs[0]}
    return Evaluation(policy, budget, scores, bootstrap(list(scores.values())))


def _optimum(cycles: Sequence[Cycle], budget: float) -> dict[int, float]:
    scores: dict[int, float] = {}
    for cycle in cycles:
        if cycle.failures:
            durations = [candidate.duration for candidate in cycle.candidates]
            order = optimal_order(cycle.candidates, cycle.failed)
            limit = budget * cycle.duration * _ROUNDING
            scores[cycle.number] = napfd(schedule(order, durations, limit), cycle.failed)
    return scores


def difference(left: Evaluation, right: Evaluation) -> Interval:
    """Return the interval of ``left`` minus ``right``, paired cycle by cycle.

    An interval that holds 0 means: no difference was shown.
    """
    return bootstrap([left.napfd[number] - right.napfd[number] for number in left.napfd])
