"""What the last run found untested, and what of it the run before did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.display import counted
from lionagi_qe.fleet.trends import points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.fleet.trends import PastRun

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
    before = _missed(courses[-2].metric.value) if len(courses) > 1 else None
    rows = [_as_row(gap, before) for gap in _gaps(last.metric.value)]
    rows.sort(key=lambda row: not row["is_new"])
    return Untested(last.run, rows[:_MOST], len(rows[_MOST:]), before is not None)


def _gaps(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever lies there
    found = cast("list[Any]", value if isinstance(value, list) else [])
    return [
        each
        for each in found
        if isinstance(each, dict)
        and isinstance(each.get("file"), str)
        and isinstance(each.get("function"), str)
    ]


def _missed(value: Any) -> dict[tuple[str, str], int]:  # noqa: ANN401 - whatever lies there
    return {(gap["file"], gap["function"]): _lines(gap) for gap in _gaps(value)}


def _lines(gap: Mapping[str, Any]) -> int:
    missed = gap.get("missed_lines")
    return len(cast("list[Any]", missed)) if isinstance(missed, list) else 0


def _as_row(gap: Mapping[str, Any], before: Mapping[tuple[str, str], int] | None) -> dict[str, Any]:
    """Return a gap as it is shown."""
    known = None if before is None else before.get((gap["file"], gap["function"]), 0)
    missed, branches = _lines(gap), gap.get("missed_branches", 0)
    is_new = known is not None and known < max(missed, 1)
    return {
        "function": gap["function"],
        "place": f"{gap['file']}:{gap.get('line', '?')}",
        "missed": f"{missed} of {gap.get('lines', '?')} lines, {counted(branches, 'branches')}",
        "is_new": is_new,
    }
