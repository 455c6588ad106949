"""The part of the tests that is the likeliest to fail, and what it may miss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lionagi_qe.agents.proportion import wilson
from lionagi_qe.learning.detection import first_within, found_by, runs_for, share_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.selection.prioritization import TestOrder


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the known tests.

    Attributes:
        chosen: those to run, the likeliest to fail first.
        left_out: the others.
        seconds: that the chosen ones take, by earlier runs.
        all_seconds: that all take.
        found: in how many of ``runs`` such a part has found a failure.
        runs: earlier failing runs of all tests.
        reason: why none is left out; None where some are.
    """

    chosen: tuple[str, ...]
    left_out: frozenset[str]
    seconds: float
    all_seconds: float
    found: int
    runs: int
    reason: str | None = None

    @property
    def confidence(self) -> float:
        """The least probability that the next failing run is found, if it is like earlier ones."""
        return self.found / (self.runs + 1)

    @property
    def told(self) -> str:
        """What to know of the part, in a sentence."""
        if self.reason is not None:
            return f"all tests run: {self.reason}"
        count = len(self.chosen) + len(self.left_out)
        chosen = (
            f"{len(self.chosen)} of {count} known tests run, {self.seconds:.1f} of "
            f"{self.all_seconds:.1f} s, the likeliest to fail, and new ones"
        )
        if not self.runs:
            return (
                f"{chosen}; what they miss is not known: no failing run of all tests was seen yet"
            )
        low, high = wilson(self.found, self.runs)
        return (
            f"{chosen}; of {self.runs} earlier failing runs they would have found {self.found} "
            f"({100 * low:.0f} to {100 * high:.0f} %), so the next one with a probability of at "
            f"least {math.floor(100 * self.confidence) / 100:.2f} if it is like those"
        )


def part_by_time(order: TestOrder, seconds: float, found_after: Sequence[float]) -> Part:
    """Return the likeliest tests to fail that take so many seconds.

    Args:
        order: the decision on the order of the known tests.
        seconds: most that they may take, by their durations in the last run.
        found_after: how much earlier failing runs took, see ``learning.detection``.

    """
    tests = _in_order(order)
    total = math.fsum(taken for _, taken in tests)
    if total <= seconds:
        return _part(tests, len(tests), found_after, f"they took {total:.1f} s when they last ran")
    return _first(tests, seconds / total, found_after)


def part_by_confidence(order: TestOrder, confidence: float, found_after: Sequence[float]) -> Part:
    """Return the fewest of the likeliest tests to fail that find a failing run so probably.

    Args:
        order: the decision on the order of the known tests.
        confidence: the probability, above 0 and below 1.
        found_after: how much earlier failing runs took, see ``learning.detection``.

    Raises:
        InvalidArgumentError: the confidence is no such probability.

    """
    share = share_for(confidence, found_after)
    tests = _in_order(order)
    if share is not None:
        return _first(tests, share, found_after)
    reason = (
        f"a confidence of {confidence:g} takes {runs_for(confidence)} failing runs of all tests"
        f" to go by, {len(found_after)} were seen"
    )
    return _part(tests, len(tests), found_after, reason)


def _in_order(order: TestOrder) -> list[tuple[str, float]]:
    """Return the known tests with their seconds; as new ones, those of no duration come first."""
    known = list(order.candidates)
    listed = [known[index] for index in order.proposal.learned.arrange(known)]
    listed.sort(key=lambda name: order.candidates[name].duration > 0)
    return [(name, order.candidates[name].duration) for name in listed]


def _first(tests: Sequence[tuple[str, float]], share: float, found_after: Sequence[float]) -> Part:
    """Return the first of the tests that fit into a share of their time."""
    number = first_within([seconds for _, seconds in tests], share)
    if number == len(tests):
        return _part(tests, number, found_after, "no fewer would do")
    return replace(_part(tests, number, found_after), found=found_by(share, found_after))


def _part(
    tests: Sequence[tuple[str, float]],
    number: int,
    found_after: Sequence[float],
    reason: str | None = None,
) -> Part:
    """Return the part that the first ``number`` tests are; all of them find what all found."""
    return Part(
        tuple(name for name, _ in tests[:number]),
        frozenset(name for name, _ in tests[number:]),
        math.fsum(seconds for _, seconds in tests[:number]),
        math.fsum(seconds for _, seconds in tests),
        len(found_after),
        len(found_after),
        reason,
    )
