"""What ``make speed`` makes of its rounds; the rounds themselves are no part of the suite."""

from __future__ import annotations

import pytest
from tests.benchmarks.speed import Pair, Taken, reached, summary, written

# Seconds of aqe and by hand: one round was disturbed.
ROUNDS = [(5.6, 5.0), (20.0, 6.0), (5.2, 5.0)]


def test_rounds_are_compared_one_by_one() -> None:
    pairs = [Pair(Taken(ours, ours), Taken(theirs, theirs)) for ours, theirs in ROUNDS]
    found = summary(pairs, "clock")
    assert found["times"] == pytest.approx(1.12)
    assert found["more"] == pytest.approx(0.6)
    assert (found["fleet"], found["hand"]) == (5.6, 5.0)


@pytest.mark.parametrize(
    ("hand", "fleet", "first", "enough"),
    [
        (10.0, 11.4, False, True),
        (10.0, 11.6, False, False),
        (1.0, 1.9, False, True),
        (1.0, 2.1, False, False),
        (1.0, 1.2, True, False),
    ],
)
def test_long_tests_may_take_a_share_more_and_short_ones_a_second(
    hand: float, fleet: float, *, first: bool, enough: bool
) -> None:
    found = {"hand": hand, "fleet": fleet, "times": fleet / hand, "more": fleet - hand}
    assert reached(found, first=first) is enough


def test_the_page_has_a_row_a_project_and_state() -> None:
    warm = [{"fleet": [ours, 1.5], "hand": [theirs, 1.0]} for ours, theirs in ROUNDS]
    result = {"tests": 1200, "load": 0.5, "date": "2026-11-29T10:00:00+00:00", "warm": warm}
    page = written({"shop 1": result | {"first": []}})
    assert "On 2026-11-29, on a machine with" in page
    assert "| shop 1 | 1,200 | 3 | 0.5 | 5.0 | 5.6 | 1.12 | +0.6 | yes |" in page
    assert "## First" not in page
