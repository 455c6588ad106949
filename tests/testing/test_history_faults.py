"""Each broken promise, planted in an otherwise valid history, is found and named."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.testing.plant import KEY, Plant
from tests.testing.planted_faults import PLANTED
from tests.testing.reference_fleet import valid_history

from lionagi_qe.testing.history import History, Kind, Promises, judge

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_kind_of_violation_is_planted() -> None:
    assert PLANTED.keys() == set(Kind)


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(kind, fault, id=fault.__name__)
        for kind, faults in PLANTED.items()
        for fault in faults
    ],
)
def test_a_planted_fault_is_found_and_named(kind: Kind, fault: Callable[[Plant], None]) -> None:
    plant = Plant()
    fault(plant)
    found = judge(History(plant.operations))
    assert kind in found.kinds, [str(violation) for violation in found.violations]
    planted = set(range(len(valid_history(random.Random(7)).operations), len(plant.operations)))
    for violation in found.violations:
        assert planted & {each.number for each in violation.operations}, str(violation)


# What looks like a fault, and is none


def test_an_unknown_change_may_take_effect_long_after_others() -> None:
    plant = Plant()
    plant.unknown("store", key=KEY, value="a")
    plant.store("b", 1001)
    plant.entry("b", 1001)
    plant.entry("a", 1002)
    assert judge(History(plant.operations)).violations == []


def test_a_cache_may_be_behind_for_as_long_as_it_says() -> None:
    plant = Plant()
    plant.store("a", 1001, at=(0, 0.1))
    plant.store("b", 1002, at=(1, 1.1))
    plant("retrieve", "a", key=KEY, at=(1.5, 1.6), process="other")
    assert judge(History(plant.operations), Promises(max_stale=1.0)).violations == []
    assert Kind.LOST_WRITE in judge(History(plant.operations), Promises(max_stale=0.2)).kinds


def test_a_cache_shows_a_process_its_own_writes_at_once() -> None:
    plant = Plant()
    plant.store("a", 1001, at=(0, 0.1))
    plant.store("b", 1002, at=(1, 1.1))
    plant("retrieve", "a", key=KEY, at=(1.5, 1.6))
    assert Kind.LOST_WRITE in judge(History(plant.operations), Promises(max_stale=1.0)).kinds


def test_time_in_which_a_process_did_not_run_does_not_count_as_its_timeout() -> None:
    plant = Plant()
    plant("retrieve", None, key=KEY, timeout=1.0, at=(0, 5))
    plant("stall", since=plant.start + 1, until=plant.start + 5)
    assert judge(History(plant.operations)).violations == []


def test_a_watch_that_told_of_a_gap_owes_only_what_came_after_it() -> None:
    plant = Plant()
    plant.watch()
    plant.store("a", 1001)
    plant("watch_gap", watch="planted")
    plant.watch()
    plant.store("b", 1002)
    plant.change("b", 1002)
    plant("watch_end", watch="planted")
    assert judge(History(plant.operations)).violations == []
