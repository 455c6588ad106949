"""Which gaps of coverage an earlier run did not have: a function's first, or more lines of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    Missed = Mapping[tuple[str, str], int]


def gaps_of(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever lies there
    """Return the gaps in a figure as it was kept, without what is none."""
    found = cast("list[Any]", value if isinstance(value, list) else [])
    return [
        each
        for each in found
        if isinstance(each, dict)
        and isinstance(each.get("file"), str)
        and isinstance(each.get("function"), str)
    ]


def missed_in(value: Any) -> Missed:  # noqa: ANN401 - whatever lies there
    """Return file and function -> how many of its lines a run missed, from its figure."""
    return {(gap["file"], gap["function"]): missed_lines(gap) for gap in gaps_of(value)}


def missed_lines(gap: Mapping[str, Any]) -> int:
    """Return how many lines of a function no test ran."""
    missed = gap.get("missed_lines")
    return len(cast("list[Any]", missed)) if isinstance(missed, list) else 0


def is_new(gap: Mapping[str, Any], before: Missed) -> bool:
    """Whether an earlier run had no gap in that function, or one of fewer lines."""
    # A gap without a line is one of branches.
    return before.get((gap["file"], gap["function"]), -1) < missed_lines(gap)


def named(gap: Mapping[str, Any]) -> str:
    """Return a function with its place."""
    return f"{gap['function']} ({gap['file']}:{gap.get('line', '?')})"


def newly_untested(now: Any, before: Any) -> tuple[str, ...]:  # noqa: ANN401 - as kept
    """Return the functions with new gaps, each with its place, from the figures of two runs."""
    missed = missed_in(before)
    return tuple(named(gap) for gap in gaps_of(now) if is_new(gap, missed))
