"""Holds the two sides against each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.corpus.sides import Figures

EQUAL, VARIES, DIFFERS = "equal", "varies", "differs"
NO_FIGURES, NO_TESTS = "no figures", "nothing to compare"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison came to.

    Attributes:
        kind: one of the constants above. "varies": aqe's figures differ from pytest's no more than
            pytest's, or aqe's, differ from one run to the next.
        differences: between aqe and pytest, in words.
    """

    kind: str
    differences: tuple[str, ...] = ()


def differences(ours: Figures, theirs: Figures) -> dict[str, str]:
    """Return what differs, a test or a file, and how."""
    found: dict[str, str] = {}
    for test in sorted({*ours.outcomes, *theirs.outcomes}):
        pair = ours.outcomes.get(test, "absent"), theirs.outcomes.get(test, "absent")
        if pair[0] != pair[1]:
            found[test] = f"{pair[0]}, {pair[1]}"
    for file in sorted({*ours.uncollectable} ^ {*theirs.uncollectable}):
        found[f"collection of {file}"] = "one of both"
    for file in sorted({*ours.files, *theirs.files}) if ours.uncovered is None else ():
        pair = ours.files.get(file), theirs.files.get(file)
        if pair[0] != pair[1]:
            mine, other = pair[0] or {}, pair[1] or {}
            found[f"coverage of {file}"] = "; ".join(
                f"{name} {mine.get(name)}, {other.get(name)}"
                for name in {**mine, **other}
                if mine.get(name) != other.get(name)
            )
    return found


def judge(ours: Figures, theirs: Sequence[Figures]) -> Verdict:
    """Return the verdict on one run of aqe and one or more of plain pytest."""
    first, *others = theirs
    if ours.problem is not None:
        same = first.problem is not None or not first.outcomes
        return Verdict(NO_TESTS if same else NO_FIGURES, (ours.problem,))
    if first.problem is not None:
        return Verdict(NO_TESTS, (f"plain pytest: {first.problem}",))
    covered = any(file["lines_covered"] for file in first.files.values())
    if ours.uncovered is not None and covered:
        return Verdict(NO_FIGURES, (ours.uncovered,))
    found = differences(ours, first)
    if not found:
        return Verdict(EQUAL)
    unsteady = {what for each in others for what in differences(first, each)}
    # Names that follow the order of a set are others in each run.
    renamed = {_function(what) for what in unsteady} & _same_tallies(ours, first)
    left = {
        what: how
        for what, how in found.items()
        if what not in unsteady and not ("absent" in how and _function(what) in renamed)
    }
    if others and not left:
        return Verdict(VARIES, in_words(found))
    return Verdict(DIFFERS, in_words(left or found))


def of_two(first: Verdict, second: Verdict) -> Verdict:
    """Return the verdict on two runs of aqe, the first of which differs from plain pytest."""
    if second.kind in {EQUAL, VARIES}:
        return Verdict(VARIES, (*first.differences, "a second run of aqe is equal"))
    return first


def _function(test: str) -> str:
    return test.partition("[")[0]


def _same_tallies(ours: Figures, theirs: Figures) -> set[str]:
    """Return the test functions of which both have as many tests of each outcome."""
    mine, other = (
        Counter((_function(test), outcome) for test, outcome in each.outcomes.items())
        for each in (ours, theirs)
    )
    unequal = {function for function, _ in (mine - other) + (other - mine)}
    return {_function(test) for test in ours.outcomes} - unequal


def in_words(found: dict[str, str]) -> tuple[str, ...]:
    """Return differences as text, the first few named: "aqe's, pytest's"."""
    named = [f"{what} ({how})" for what, how in list(found.items())[:_MOST_NAMED]]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return (*named, *more)


def tally(outcomes: Iterable[str]) -> dict[str, int]:
    """Return outcome -> how many tests, the most frequent first."""
    return dict(Counter(outcomes).most_common())
