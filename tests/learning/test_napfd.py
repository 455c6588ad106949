import pytest
from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe.learning.napfd import napfd, schedule


def test_a_test_that_does_not_fit_is_skipped_and_later_ones_may_still_run() -> None:
    assert schedule([0, 1, 2, 3], [4.0, 5.0, 2.0, 1.0], budget=6.0) == [0, 2]


def test_a_test_that_fits_exactly_runs() -> None:
    assert schedule([1, 0], [4.0, 6.0], budget=10.0) == [1, 0]


@pytest.mark.parametrize(
    ("scheduled", "failed", "expected"),
    [
        ([0, 1, 2, 3], [True, False, False, False], 1 - 1 / 4 + 1 / 8),
        ([3, 2, 1, 0], [True, False, False, False], 1 - 4 / 4 + 1 / 8),
        ([1, 0], [True, False, True, False], 0.5 - 2 / (2 * 4) + 0.5 / 8),
        ([1], [True, False], 0.0),
        ([0], [True], 0.5),
    ],
)
def test_napfd_equals_the_published_formula(
    scheduled: list[int], failed: list[bool], expected: float
) -> None:
    assert napfd(scheduled, failed) == pytest.approx(expected)


def test_a_cycle_without_failures_has_no_napfd() -> None:
    with pytest.raises(ValueError, match="not defined"):
        napfd([0], [False])


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_failures_first_is_best_and_failures_last_is_worst(failed: list[bool]) -> None:
    best = sorted(range(len(failed)), key=lambda index: not failed[index])
    scores = napfd(best, failed), napfd(range(len(failed)), failed), napfd(best[::-1], failed)
    assert 1 >= scores[0] >= scores[1] >= scores[2] >= 0
