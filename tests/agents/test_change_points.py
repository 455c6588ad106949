"""Where a course changed: what is found, what isn't told, and how it is looked for."""

from __future__ import annotations

import random

import pytest

from lionagi_qe.agents.performance import change_points
from lionagi_qe.agents.performance.change_points import find_changes
from lionagi_qe.errors import ConfigurationError


def noisy(seed: str, runs: int, level: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [level * chance.lognormvariate(0, 0.05) for _ in range(runs)]


def test_a_fall_is_found_at_its_place_with_its_factor() -> None:
    (change,) = find_changes([*noisy("before", 15), *noisy("after", 10, 0.8)], courses=8)
    assert change.at == 15
    assert change.shift.low <= 0.8 <= change.shift.high
    assert change.shift.high < 1


def test_a_fall_and_a_rise_are_two_changes() -> None:
    values = [*noisy("a", 15), *noisy("b", 15, 0.7), *noisy("c", 15, 1.1)]
    fall, rise = find_changes(values)
    assert (fall.at, rise.at) == (15, 30)
    assert fall.shift.ratio == pytest.approx(0.7, rel=0.05)
    assert rise.shift.ratio == pytest.approx(1.1 / 0.7, rel=0.05)


def test_runs_that_were_off_are_no_change() -> None:
    values = noisy("off", 25)
    values[10] = values[18] = values[24] = 0.2
    assert find_changes(values) == []


def test_unchanged_courses_are_told_of_no_more_often_than_asked_for() -> None:
    told = sum(bool(find_changes(noisy(f"unchanged {at}", 30))) for at in range(60))
    assert told <= 60 * change_points.FALSE_ALARMS * 2


@pytest.mark.parametrize("runs", [0, 1, 5, 7])
def test_too_few_runs_are_no_reason(runs: int) -> None:
    assert find_changes([1.0] * runs) == []
    assert find_changes([*[1.0] * (runs // 2), *[0.1] * (runs - runs // 2)]) == []


def test_a_course_that_never_moves_has_no_change() -> None:
    assert find_changes([1.5] * 40) == []


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_points, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"needs ruptures.*aqe-fleet\[changes\]"):
        find_changes([1.0] * 20)
