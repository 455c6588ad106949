"""A part of the tests finds a failing run as probably as was asked for, if runs are alike."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.detection import (
    first_within,
    found_by,
    runs_for,
    share_for,
    share_until_failure,
)
from lionagi_qe.learning.evaluation import replay_parts
from lionagi_qe.learning.synthetic import REGIMES, synthetic_history

SHARES = st.lists(st.floats(0, 1), max_size=60)
CONFIDENCES = st.floats(0.01, 0.99)


def test_a_share_reaches_to_the_end_of_the_first_failing_test() -> None:
    assert share_until_failure([2, 0, 1], [1.0, 2.0, 5.0], [True, False, False]) == 0.75
    assert share_until_failure([2, 0, 1], [1.0, 2.0, 5.0], [True, False, True]) == 0.625


def test_a_new_test_runs_in_any_case_so_its_failure_costs_nothing() -> None:
    assert share_until_failure([1, 0], [0.0, 2.0], [True, True]) == 0.0


def test_runs_without_a_failure_or_durations_tell_nothing() -> None:
    assert share_until_failure([0], [1.0], [False]) is None
    assert share_until_failure([0], [0.0], [True]) is None


def test_a_confidence_takes_enough_runs() -> None:
    assert runs_for(0.95) == 19
    assert share_for(0.95, [0.5] * 18) is None
    assert share_for(0.95, [0.1 * (at % 10) for at in range(19)]) == pytest.approx(0.9)
    assert share_for(0.5, [0.25]) == 0.25


@pytest.mark.parametrize("wrong", [0, 1, -0.5, 2, float("nan")])
def test_a_confidence_is_a_probability(wrong: float) -> None:
    with pytest.raises(InvalidArgumentError, match="between 0 and 1"):
        share_for(wrong, [0.5])


@given(SHARES, CONFIDENCES)
def test_as_many_earlier_runs_are_found_as_the_confidence_needs(
    shares: list[float], confidence: float
) -> None:
    share = share_for(confidence, shares)
    if share is None:
        assert len(shares) < runs_for(confidence)
    else:
        assert found_by(share, shares) >= (len(shares) + 1) * confidence - 1e-6


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=30), st.floats(0, 1))
def test_what_fits_into_a_share_is_as_much_as_can_be(durations: list[float], share: float) -> None:
    number = first_within(durations, share)
    limit = share * sum(durations)
    assert sum(durations[:number]) <= limit + 1e-6 * sum(durations)
    if number < len(durations):
        assert sum(durations[: number + 1]) > limit


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_of_runs_that_are_alike_as_many_are_found_as_was_promised(confidence: float) -> None:
    rng = Random(7)
    found = 0
    for _ in range(4_000):
        shares = [rng.betavariate(0.5, 3) for _ in range(rng.randrange(19, 60))]
        share = share_for(confidence, shares)
        assert share is not None
        found += rng.betavariate(0.5, 3) <= share
    # Three standard errors of 4,000 draws are at most 0.024.
    assert confidence - 0.024 < found / 4_000 < confidence + 0.05


@pytest.mark.parametrize("regime", sorted(REGIMES))
def test_replayed_histories_are_found_about_as_often_as_was_asked_for(regime: str) -> None:
    """Of growing suites somewhat less are: later runs are not like earlier ones."""
    replays = [replay_parts(synthetic_history(regime, seed), 0.8) for seed in range(4)]
    failing = sum(each.failing for each in replays)
    assert failing > 200
    assert sum(each.found for each in replays) / failing > 0.75
    assert all(each.awaited == 4 for each in replays)
    assert max(each.share for each in replays) < 0.6
