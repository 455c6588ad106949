"""What is otherwise than in the run before, in words for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lionagi_qe.fleet.comparison import Comparison

_MOST_LISTED = 10
# The source may well have.
UNCHANGED = "no test or figure changed"
UNCOMPARED = "no test ran, so there is nothing to compare with earlier runs"


def since(comparison: Comparison, shown: Callable[[str], str] = str) -> str:
    """Return which run another is compared with, and which it is not compared with, and why."""
    told = f"run {shown(comparison.previous)}"
    if not comparison.skipped:
        return told
    runs = ", ".join(shown(run) for run in comparison.skipped[-_MOST_LISTED:])
    more = len(comparison.skipped) - _MOST_LISTED
    return f"{told} (no test ran in {runs}{f' and {more} before' if more > 0 else ''})"


def changes(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield what changed and how, as plain text; nothing if nothing did."""
    for label, tests in (
        ("newly failing", comparison.newly_failing),
        ("fixed", comparison.fixed),
        ("added", comparison.added),
        ("lost", comparison.lost),
        ("newly untested", comparison.newly_untested),
    ):
        if tests:
            more = ", ..." if len(tests) > _MOST_LISTED else ""
            yield label, f"{len(tests)}: {', '.join(tests[:_MOST_LISTED])}{more}"
    for test in comparison.slower[:_MOST_LISTED]:
        usual = f"usually {test.usual:.2f} s (median of {test.runs} runs)"
        yield "slower", f"{test.id}: {test.seconds:.2f} s, {usual}"
    for name, (before, now) in comparison.figures.items():
        if before != now:
            yield name.replace("_", " "), f"{before:.2f} % -> {now:.2f} %"
