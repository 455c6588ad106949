"""The replay is online: what an ordering decides never depends on what comes later."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe import open_memory
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.evaluation import (
    POLICIES,
    difference,
    evaluate,
    mean_of,
    replay,
    replay_kept,
)
from lionagi_qe.learning.heuristics import Ordering
from lionagi_qe.learning.history import Candidate, Cycle, Outcome
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.statistics import bootstrap
from lionagi_qe.learning.synthetic import REGIMES, synthetic_history


class Recording:
    """Passes on to an ordering and remembers what it was shown and what it decided."""

    def __init__(self, ordering: Ordering) -> None:
        self._ordering = ordering
        self.decisions: list[list[int]] = []
        self.shown: list[list[Outcome]] = []

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        self.decisions.append(self._ordering.order(candidates, budget, rng))
        return self.decisions[-1]

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        self.shown.append(list(outcomes))
        self._ordering.observe(candidates, outcomes)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("budget", [0.5, 1.0])
@settings(max_examples=10)
@given(seed=st.integers(0, 1_000), now=st.integers(0, 24))
def test_no_decision_changes_when_its_own_and_all_later_results_do(
    policy: str, budget: float, seed: int, now: int
) -> None:
    assert _decides_alike(lambda _: POLICIES[policy](), budget, seed, now)


class LooksAhead:
    """An ordering that was handed the history and runs first what fails in the coming cycle."""

    def __init__(self, cycles: Sequence[Cycle]) -> None:
        self._coming = list(cycles)

    def order(self, candidates: Sequence[Candidate], budget: float, rng: Random) -> list[int]:
        del budget, rng
        coming = self._coming[0]
        names = {
            test.name
            for test, failed in zip(coming.candidates, coming.failed, strict=True)
            if failed
        }
        return sorted(range(len(candidates)), key=lambda n: candidates[n].name not in names)

    def observe(self, candidates: Sequence[Candidate], outcomes: Sequence[Outcome]) -> None:
        del candidates, outcomes
        del self._coming[0]


def test_an_ordering_that_looks_ahead_would_be_found_out() -> None:
    assert not _decides_alike(LooksAhead, budget=1.0, seed=1, now=12)


def _decides_alike(
    ordering: Callable[[Sequence[Cycle]], Ordering], budget: float, seed: int, now: int
) -> bool:
    """Whether decisions up to ``now`` are the same when all results from then on are others."""
    cycles = synthetic_history("branches", seed=3, cycles=25)
    rng = Random(seed)
    other = [
        cycle
        if index < now
        else replace(cycle, failed=tuple(rng.random() < 0.5 for _ in cycle.failed))
        for index, cycle in enumerate(cycles)
    ]
    # Later cycles are other ones altogether, with other tests that take other times.
    other[now + 1 :] = synthetic_history("growing", seed=seed, cycles=25)[now + 1 :]
    recordings = [Recording(ordering(history)) for history in (cycles, other)]
    for recording, history in zip(recordings, (cycles, other), strict=True):
        replay(recording, history, budget, seed=1)
    return recordings[0].decisions[: now + 1] == recordings[1].decisions[: now + 1]


def test_a_policy_only_sees_the_results_of_tests_that_ran() -> None:
    cycle = Cycle(1, tuple(Candidate(f"t{n}", 1.0) for n in range(10)), (True,) * 10)
    recording = Recording(POLICIES["random"]())
    replay(recording, [cycle], 0.3, seed=0)
    assert len(recording.shown[0]) == 3
    replay(recording, [cycle], 0.3, seed=0, observe_all=True)
    assert len(recording.shown[1]) == 10


def test_the_order_of_the_history_tells_a_policy_nothing() -> None:
    cycle = Cycle(1, tuple(Candidate(f"t{n}", 1.0) for n in range(50)), (True,) + (False,) * 49)
    shares = [replay(POLICIES["recent-failure"](), [cycle], 1.0, seed)[1] for seed in range(200)]
    assert sum(shares) / 200 == pytest.approx(0.5, abs=0.1)


def test_a_full_budget_runs_everything_in_spite_of_rounding() -> None:
    durations = [0.1 * 3**power for power in range(20)]
    cycle = Cycle(
        1, tuple(Candidate(str(n), time) for n, time in enumerate(durations)), (True,) * 20
    )
    assert replay(POLICIES["random"](), [cycle], 1.0, seed=5)[1] == pytest.approx(0.5)


@pytest.mark.parametrize("regime", [name for name in REGIMES if name != "noise"])
def test_the_learned_order_beats_chance_where_there_is_something_to_learn(regime: str) -> None:
    cycles = synthetic_history(regime, seed=11, cycles=60)
    learned = evaluate("learned", cycles, 1.0, seeds=2)
    chance = evaluate("random", cycles, 1.0, seeds=2)
    assert difference(learned, chance).low > 0


def test_a_difference_is_seldom_claimed_where_there_is_nothing_to_learn() -> None:
    # A 95 % interval errs in one history of twenty, so one history shows nothing. Of 40, more
    # than 7 false claims have a probability below 1e-3 if the intervals are right.
    false_claims = 0
    for seed in range(40):
        cycles = synthetic_history("noise", seed, cycles=40)
        learned = evaluate("learned", cycles, 1.0, seeds=1)
        gap = difference(learned, evaluate("random", cycles, 1.0, seeds=1))
        false_claims += not gap.low <= 0 <= gap.high
    assert false_claims <= 7


@pytest.mark.parametrize("budget", [0.5, 1.0])
def test_nothing_beats_the_optimum(budget: float) -> None:
    cycles = synthetic_history("flaky", seed=2, cycles=30)
    best = evaluate("optimal", cycles, budget).interval.mean
    assert all(evaluate(name, cycles, budget, seeds=1).interval.mean < best for name in POLICIES)


def test_equal_seeds_give_equal_results() -> None:
    cycles = synthetic_history("grouped", seed=2, cycles=20)
    assert evaluate("learned", cycles, 0.5) == evaluate("learned", cycles, 0.5)


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    few, many = bootstrap([0.0, 1.0] * 10), bootstrap([0.0, 1.0] * 200)
    assert few.low < few.mean == 0.5 < few.high
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("budget", [0, -1, 1.5, float("nan")])
def test_a_budget_outside_its_range_is_refused(budget: float) -> None:
    with pytest.raises(InvalidArgumentError, match="budget"):
        evaluate("learned", synthetic_history("flaky", 1, cycles=3), budget)


def test_an_unknown_policy_and_a_history_without_failures_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="choose one of"):
        evaluate("guess", synthetic_history("flaky", 1, cycles=3), 0.5)
    with pytest.raises(InvalidArgumentError, match="nothing to measure"):
        evaluate("learned", [Cycle(1, (Candidate("a", 1),), (False,))], 0.5)
    with pytest.raises(InvalidArgumentError, match="regime"):
        synthetic_history("sunny", 1)


async def test_kept_in_a_memory_the_learned_order_is_worth_what_it_is_by_itself() -> None:
    cycles = synthetic_history("persistent", seed=6, cycles=40)
    async with open_memory("memory://") as memory:
        runs = [
            await replay_kept(TestOrdering(memory, f"seed {seed}"), cycles, 0.5, seed)
            for seed in range(3)
        ]
    kept = mean_of("kept", 0.5, runs)
    alone = evaluate("learned", cycles, 0.5, seeds=3)
    assert kept.napfd.keys() == alone.napfd.keys()
    assert kept.interval.mean == pytest.approx(alone.interval.mean, abs=0.03)
