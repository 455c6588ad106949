"""What was meant by a wrong name."""

from __future__ import annotations

import pytest

from lionagi_qe.fleet.registry import names
from lionagi_qe.nearest import meant, nearest


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("mutation", names(), ["mutation-tester"]),
        ("flakyness", names(), ["flaky-test-hunter"]),
        ("Gate", names(), ["quality-gate"]),
        ("speed", names(), []),
        ("", names(), []),
        ("revews", ["reviews", "Reviews/old", "mail"], ["reviews", "Reviews/old"]),
    ],
)
def test_the_nearest_are_told_by_their_words_too(
    name: str, known: list[str], near: list[str]
) -> None:
    assert nearest(name, known) == near


def test_where_nothing_is_near_some_of_what_there_is_are_listed() -> None:
    assert meant("x", ["aa", "bb"], "there are: ") == "there are: aa, bb"
    assert meant("x", [f"name-{at}" for at in range(30)]).endswith("name-24 and 5 more")
