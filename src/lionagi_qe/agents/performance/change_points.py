"""Where a course of ratios or durations became another, and by what factor.

ruptures finds the place that explains the course best (least absolute deviations, so that a run
that was off moves it little); whether anything changed there is for the interval of ``shift`` to
say. The place was chosen among many because the two sides differ, and the course among many: the
interval's error is divided by the number of both (Bonferroni), so that whoever looks once at
courses in which nothing changed is told of a change with at most the probability asked for. What
comes before and after a change is looked at in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.performance.shift import Shift, shift_of
from lionagi_qe.errors import ConfigurationError
from lionagi_qe.extras import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Runs on either side of a change; one or two that were off are none.
LEAST_SIDE = 3
FALSE_ALARMS = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """A place where a course changed.

    Attributes:
        at: the position of the first value after it.
        shift: by what factor, from the values before to those after, up to the next changes.
    """

    at: int
    shift: Shift


def can_find_changes() -> bool:
    """Whether ruptures is there."""
    return find_spec("ruptures") is not None


def find_changes(
    values: Sequence[float], *, courses: int = 1, false_alarms: float = FALSE_ALARMS
) -> list[Change]:
    """Return where a course changed, the earliest first.

    Costs the cube of the number of values.

    Args:
        values: above 0, the oldest first.
        courses: how many courses are looked at together.
        false_alarms: most probability of a change in any of them where nothing changed.

    Raises:
        ConfigurationError: ruptures is not installed.

    """
    if not can_find_changes():
        raise ConfigurationError(f"finding changes {needs('ruptures')}")
    logarithms = [math.log(value) for value in values]
    places = [0, *_places(values, logarithms, 0, courses / false_alarms), len(values)]
    # The estimate alone: that something changed was found with the whole sides.
    confidence = _confidence(1, 1 / false_alarms)
    found: list[Change] = []
    for before, at, after in zip(places, places[1:], places[2:], strict=False):
        shift = shift_of(values[before:at], values[at:after], confidence)
        if shift is None:
            shift = shift_of(values[:at], values[at:], confidence)
        if shift is not None:
            found.append(Change(at, shift))
    return found


def _places(
    values: Sequence[float], logarithms: Sequence[float], offset: int, rarity: float
) -> Iterator[int]:
    count = len(values)
    splits = count - 2 * LEAST_SIDE + 1
    if splits < 1 or not _can_be_sure(count, splits, rarity):
        return
    at = _best_split(logarithms)
    shift = shift_of(values[:at], values[at:], _confidence(splits, rarity))
    if shift is None or shift.low <= 1 <= shift.high:
        return
    yield from _places(values[:at], logarithms[:at], offset, rarity)
    yield offset + at
    yield from _places(values[at:], logarithms[at:], offset + at, rarity)


def _can_be_sure(count: int, splits: int, rarity: float) -> bool:
    """Whether the most that so many values can show is enough: one half above the other."""
    half = count // 2
    return 2 / math.comb(count, half) <= 1 / (splits * rarity)


def _confidence(splits: int, rarity: float) -> float:
    return 1 - 1 / (splits * rarity)


def _best_split(logarithms: Sequence[float]) -> int:
    numpy, ruptures = import_module("numpy"), import_module("ruptures")
    signal: Any = numpy.array(logarithms).reshape(-1, 1)
    search = ruptures.Dynp(model="l1", min_size=LEAST_SIDE, jump=1).fit(signal)
    return int(search.predict(n_bkps=1)[0])
