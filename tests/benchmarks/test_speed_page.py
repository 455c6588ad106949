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


def test_the_report_by_hand_is_told_beside_what_is_compared_without_it() -> None:
    first = [
        {"fleet": [ours, 1.5], "hand": [theirs, 1.0], "report": [1.0, 0.5]}
        for ours, theirs in ((6.0, 5.0), (6.3, 5.0), (6.6, 5.0))
    ]
    result = {"tests": 12, "load": 0.5, "date": "2026-11-29T10:00:00+00:00", "warm": []}
    page = written({"shop 1": result | {"first": first}})
    assert "| times with it | reached with it |" in page
    # 6.3 to 5.0, and 6.3 to 6.0.
    assert (
        "| 5.0 | 6.3 | 1.26 | +1.3 | no | 1.0 | 1.5 | 1.50 | +0.5 | no | 1.0 | 1.05 | yes |" in page
    )
