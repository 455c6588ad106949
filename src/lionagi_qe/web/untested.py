"""What the last run found untested, and what of it the run before did not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from lionagi_qe.display import counted
from lionagi_qe.fleet.new_gaps import gaps_of, is_new, missed_in, missed_lines
from lionagi_qe.fleet.trends import points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.fleet.new_gaps import Missed
    from lionagi_qe.fleet.trends import PastRun, Point

_MOST = 20
_FIGURE = "gaps"


@dataclass(frozen=True, slots=True)
class Untested:
    """Functions that tests did not run to their end.

    Attributes:
        run: that found them.
        gaps: of it, those that are new first.
        left: how many further ones there are.
        is_compared: whether an earlier run can tell what is new.
    """

    run: str
    gaps: Sequence[Mapping[str, Any]]
    left: int
    is_compared: bool


def untested_of(runs: Sequence[PastRun]) -> Untested | None:
    """Return the gaps of the last run that measured some; None if none did. Costs no read.

    A gap is new if the run before had none in that function, or fewer lines of it.
    """
    courses = [point for point in points(runs, _FIGURE) if isinstance(point.metric.value, list)]
    if not courses:
        return None
    last = courses[-1]
    earlier = [(course, missed_in(course.metric.value)) for course in reversed(courses[:-1])]
    rows = [_as_row(gap, earlier) for gap in gaps_of(last.metric.value)]
    rows.sort(key=lambda row: not row["is_new"])
    return Untested(last.run, rows[:_MOST], len(rows[_MOST:]), bool(earlier))


def _as_row(gap: Mapping[str, Any], earlier: Sequence[tuple[Point, Missed]]) -> dict[str, Any]:
    """Return a gap as it is shown; ``earlier``: the runs before and their gaps, the last first."""
    since = [*takewhile(lambda run: not is_new(gap, run[1]), earlier)]
    began = since[-1][0] if since else None
    missed, branches = missed_lines(gap), gap.get("missed_branches", 0)
    return {
        "function": gap["function"],
        "place": f"{gap['file']}:{gap.get('line', '?')}",
        "missed": f"{missed} of {gap.get('lines', '?')} lines, {counted(branches, 'branches')}",
        "is_new": bool(earlier) and began is None,
        "since": None if began is None else began.run,
        "commit": None if began is None else began.metric.commit,
        "runs": len(since) + 1,
        "or_longer": len(since) == len(earlier),
    }
