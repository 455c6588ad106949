"""What counts as slower: an interval that holds, a change worth telling, and not the machine's."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from lionagi_qe.agents.performance.shift import shift_of
from lionagi_qe.agents.performance.slower import judge


def test_the_interval_leaves_out_what_the_orders_of_the_values_allow() -> None:
    # Of 84 orders of 3 and 6 values 2 have a U below 2, which is 2.4 %: a difference at each end.
    earlier, later = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [20.0, 30.0, 40.0]
    shift = shift_of(earlier, later)
    assert shift is not None
    assert shift.low == pytest.approx(20 / 5)
    assert shift.high == pytest.approx(30 / 1)


@pytest.mark.parametrize(("first", "second"), [(5, 3), (4, 4), (8, 3), (20, 3), (2, 9)])
def test_as_many_differences_are_left_out_as_the_exact_distribution_says(
    first: int, second: int
) -> None:
    counts = [0] * (first * second + 1)
    for places in itertools.combinations(range(first + second), second):
        # How many of the first lie below each of the second.
        counts[sum(place - rank for rank, place in enumerate(places))] += 1
    total = math.comb(first + second, second)
    tails = itertools.accumulate(counts)
    left_out = sum(tail <= 0.025 * total for tail in tails)
    earlier = [2.0**place for place in range(first)]
    later = [2.0 ** (0.01 * place) for place in range(second)]
    shift = shift_of(earlier, later)
    if left_out == 0:
        assert shift is None
    else:
        ratios = sorted(b / a for a in earlier for b in later)
        assert shift is not None
        assert shift.low == pytest.approx(ratios[left_out - 1])
        assert shift.high == pytest.approx(ratios[-left_out])


def test_it_holds_the_true_factor_at_least_as_often_as_it_says() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(1000):
        earlier = [chance.lognormvariate(0, 0.5) for _ in range(9)]
        later = [2 * chance.lognormvariate(0, 0.5) for _ in range(3)]
        shift = shift_of(earlier, later)
        assert shift is not None
        held += shift.low <= 2 <= shift.high
    assert held >= 930


def course(seconds: list[float]) -> dict[str, float]:
    return {f"run-{number:02}": each for number, each in enumerate(seconds)}


def test_a_test_is_slower_by_its_last_runs_and_not_by_one_alone() -> None:
    steady, noise = [0.2, 0.21, 0.19, 0.2, 0.22, 0.2, 0.21], [0.2, 0.21]
    judged = judge(
        {
            "slower": course([*steady, 0.5, 0.52, 0.48]),
            "once": course([*steady, *noise, 0.9]),
            "a little": course([*steady, 0.23, 0.23, 0.23]),
            "short": course([each / 100 for each in (*steady, 0.5, 0.5, 0.5)]),
            "new": course([0.2, 0.9]),
        }
    )
    (named,) = judged.slower
    assert named.id == "slower"
    assert named.shift.low > 1
    assert judged.compared == 4


def test_another_machine_makes_no_test_slower_and_is_told_by_itself() -> None:
    usual = {f"test-{number}": 0.1 + number / 100 for number in range(30)}
    courses = {
        name: course([*[seconds] * 8, *[3 * seconds] * 3]) for name, seconds in usual.items()
    }
    courses["worse"] = course([*[0.2] * 8, *[3 * 0.5] * 3])

    judged = judge(courses)

    assert [each.id for each in judged.slower] == ["worse"]
    assert judged.slower[0].shift.ratio == pytest.approx(2.5)
    assert judged.speed == pytest.approx(3.0)


def test_the_run_is_named_since_which_a_test_is_slower() -> None:
    chance = random.Random(3)
    values = [chance.lognormvariate(0, 0.05) * (2 if run >= 14 else 1) for run in range(20)]
    (slower,) = judge({"test": course(values[:17])}).slower
    assert slower.since == "run-14"
