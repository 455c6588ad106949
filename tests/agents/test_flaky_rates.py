"""How often a test fails is estimated by what was varied, and the interval keeps its word."""

from __future__ import annotations

import random

import pytest

from lionagi_qe.agents.flaky.reruns import Conditions, Trials
from lionagi_qe.agents.proportion import clustered, wilson

HUNTS = 400


def hunt(rate: float, rng: random.Random, *, by_seed: bool) -> Trials:
    """Simulate the sessions of a hunt on a test that fails at a rate, by seed or by mere chance."""
    of_seed: dict[int, bool] = {}

    def bad(seed: int) -> bool:
        if not by_seed:
            return rng.random() < rate
        if seed not in of_seed:
            of_seed[seed] = rng.random() < rate
        return of_seed[seed]

    first = rng.randrange(1, 10_000) * 10_000
    plan = [Conditions("same")] * 5 + [Conditions("again"), Conditions("order", order="reversed")]
    plan += [Conditions("repeated", attempts=4)] * 2
    plan += [
        Conditions("seeds", seed=first + 20 * at, vary=True, attempts=20)
        for at in range(rng.randrange(1, 6))
    ]
    trials = Trials()
    for conditions in plan:
        step = int(conditions.vary)
        seeds = [conditions.seed + step * at for at in range(conditions.attempts)]
        trials.add(conditions, ["failed" if bad(seed) else "passed" for seed in seeds])
    return trials


@pytest.mark.parametrize("by_seed", [True, False], ids=["by its seed", "by chance"])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
def test_the_interval_covers_the_truth_in_95_of_100_hunts(rate: float, by_seed: bool) -> None:
    rng = random.Random(f"{rate}/{by_seed}")
    covered = 0
    for _ in range(HUNTS):
        found = clustered(hunt(rate, rng, by_seed=by_seed).clusters("randomness"))
        covered += found.low <= rate <= found.high
    # Of 400 hunts that cover with 95 %, 371 or more do so but for one time in 40.
    assert covered >= 371, covered / HUNTS


def test_runs_with_one_seed_are_one_draw() -> None:
    alike = clustered([(760, 760), *[(0, 1)] * 39])
    assert (alike.share, alike.effective) == (1 / 40, 40)
    assert (alike.low, alike.high) == wilson(1, 40)


def test_runs_that_differ_with_one_seed_count_for_themselves() -> None:
    rng = random.Random(1)
    clusters = [(sum(rng.random() < 0.3 for _ in range(50)), 50) for _ in range(10)]
    found = clustered(clusters)
    assert found.effective > 200
    assert found.low < 0.3 < found.high


def test_single_trials_are_a_plain_share() -> None:
    found = clustered([(1, 1)] * 3 + [(0, 1)] * 7)
    assert (found.share, found.effective) == (0.3, 10)
    assert (found.low, found.high) == wilson(3, 10)
    assert clustered([]).high == 1.0


def test_failures_in_other_orders_are_told_apart_from_chance() -> None:
    trials = Trials()
    for conditions, bad in [
        (Conditions("same"), False),
        (Conditions("same"), False),
        (Conditions("order", order="reversed"), True),
        (Conditions("order", order="reversed"), True),
        (Conditions("order", order=3), False),
        (Conditions("seeds", seed=7, vary=True, attempts=20), False),
    ]:
        trials.add(conditions, ["failed" if bad else "passed"] * conditions.attempts)
    verdict = trials.verdict()
    assert verdict is not None
    details = verdict.as_details()
    assert details["cause"] == "order"
    assert (details["failures"], details["runs"], details["draws"]) == (2, 3, 2)
    assert details["varied"] == "orders"
    assert details["rate"] == 0.5


def test_a_failing_seed_is_named() -> None:
    trials = Trials()
    trials.add(Conditions("same"), ["passed"])
    trials.add(Conditions("seeds", seed=40, vary=True, attempts=4), ["passed"] * 3 + ["failed"])
    verdict = trials.verdict()
    assert verdict is not None
    assert "failed with random seed 43" in verdict.evidence
