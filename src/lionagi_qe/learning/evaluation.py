"""Replays of CI histories: what an ordering would have found, online and from a cold start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
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


def _decide(
    ordering: Ordering, candidates: Sequence[Candidate], time: float, rng: Random
) -> list[int]:
    """Return the indices of the candidates that run; no result enters here."""
    shuffled = rng.sample(range(len(candidates)), len(candidates))
    order = ordering.order([candidates[index] for index in shuffled], time, rng)
    durations = [candidate.duration for candidate in candidates]
    return schedule([shuffled[index] for index in order], durations, time * _ROUNDING)


def evaluate(
    policy: str,
    cycles: Sequence[Cycle],
    budget: float,
    *,
    seeds: int = DEFAULT_SEEDS,
    observe_all: bool = False,
) -> Evaluation:
    """Replay a policy (a name in POLICIES, or "optimal") with several seeds.

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
        runs = [
            replay(POLICIES[policy](), cycles, budget, seed, observe_all=observe_all)
            for seed in range(seeds)
        ]
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
