"""Which of many durations became longer, when the machine's own speed is taken out of them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lionagi_qe.agents.performance.change_points import can_find_changes, find_changes
from lionagi_qe.agents.performance.shift import Shift, shift_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The last runs, this one among them, against those before: one slow run alone proves nothing.
RECENT = 3
MOST_EARLIER = 20
# Below these a change is none that anybody would look for.
LEAST_RATIO = 1.25
LEAST_SECONDS = 0.05
# With fewer, what one of them does would pass for the machine's speed.
_LEAST_FOR_SPEED = 20
# Shorter ones are mostly the timer's and the scheduler's.
_TELLING_SECONDS = 0.001

# Run -> seconds, in the order of the runs.
Course = dict[str, float]


@dataclass(frozen=True, slots=True)
class Slower:
    """What became slower.

    Attributes:
        id: of the test or benchmark.
        before: median seconds of the earlier runs, at the speed of the recent ones.
        now: of the recent ones.
        shift: by what factor.
        runs: how many earlier ones there are.
        since: the first run that was slower; None where that can't be told, or without ruptures.
    """

    id: str
    before: float
    now: float
    shift: Shift
    runs: int
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a comparison.

    Attributes:
        compared: of how many there are enough runs to be compared.
        slower: those that became slower, by far the slowest first.
        speed: how much longer all took in the recent runs than in the earlier ones; None where
            that can't be told.
    """

    compared: int
    slower: tuple[Slower, ...]
    speed: float | None


def judge(courses: Mapping[str, Course], least_seconds: float = LEAST_SECONDS) -> Judged:
    """Compare the last runs of each with those before.

    Args:
        courses: id -> run -> seconds, the latest run last.
        least_seconds: that something has to take longer to be named.

    """
    speeds = _speeds(courses)
    compared, slower = 0, list[Slower]()
    for name, course in courses.items():
        even = [(run, seconds / speeds.get(run, 1.0)) for run, seconds in course.items()]
        values = [seconds for _, seconds in even]
        earlier, recent = values[:-RECENT][-MOST_EARLIER:], values[-RECENT:]
        shift = None if len(recent) < RECENT else shift_of(earlier, recent)
        if shift is None:
            continue
        compared += 1
        scale = median(speeds.get(run, 1.0) for run, _ in even[-RECENT:])
        before, now = median(earlier) * scale, median(recent) * scale
        grown = shift.ratio >= LEAST_RATIO and now - before >= least_seconds
        if shift.low > 1 and grown:
            since = _since(even[-MOST_EARLIER - RECENT :])
            slower.append(Slower(name, before, now, shift, len(earlier), since))
    slower.sort(key=lambda each: each.before - each.now)
    return Judged(compared, tuple(slower), _speed(speeds))


def _since(course: Sequence[tuple[str, float]]) -> str | None:
    """Return the run from which on a course rose for the last time, if that was beyond chance."""
    if not can_find_changes():
        return None
    changes = find_changes([seconds for _, seconds in course])
    risen = [course[change.at][0] for change in changes if change.shift.ratio > 1]
    return risen[-1] if risen else None


def _speeds(courses: Mapping[str, Course]) -> Course:
    """Return run -> how long all took in it, as a multiple of what they usually take."""
    usual = {name: median(course.values()) for name, course in courses.items() if course}
    ratios: dict[str, list[float]] = {}
    for name, course in courses.items():
        for run, seconds in course.items():
            if usual[name] >= _TELLING_SECONDS:
                ratios.setdefault(run, []).append(seconds / usual[name])
    return {
        run: median(found)
        for run, found in sorted(ratios.items())
        if len(found) >= _LEAST_FOR_SPEED and median(found) > 0
    }


def _speed(speeds: Course) -> float | None:
    values: Sequence[float] = [*speeds.values()]
    earlier = values[:-RECENT][-MOST_EARLIER:]
    return median(values[-RECENT:]) / median(earlier) if earlier else None
