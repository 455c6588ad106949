"""How much of the tests finds that a run fails, by how much it took in earlier failing runs.

Each earlier failing run of all tests says which share of the tests' time the learned order of that
moment took until its first failing test had run. As long as the next failing run is like those, in
no particular order (exchangeable), the k-th smallest of n such shares is enough for it with a
probability of at least k / (n + 1), whatever their distribution: split conformal prediction,
V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", Springer 2005.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Sums of the same durations may differ in their last digits.
_ROUNDING = 1e-9


def share_until_failure(
    order: Sequence[int], durations: Sequence[float], failed: Sequence[bool]
) -> float | None:
    """Return the share of all durations after which the first failing test has run.

    A test of no known duration is new, and runs in any case, so that its failure costs nothing.

    Args:
        order: indices of the tests, first to run first.
        durations: of each test, in seconds; 0 where it isn't known.
        failed: whether each test failed.

    Returns:
        0 to 1; None if no test failed or no duration is known.

    """
    total = math.fsum(durations)
    if total <= 0 or not any(failed):
        return None
    if any(bad and not seconds for bad, seconds in zip(failed, durations, strict=True)):
        return 0.0
    taken = 0.0
    for index in order:
        taken += durations[index]
        if failed[index]:
            break
    return min(taken / total, 1.0)


def share_for(confidence: float, shares: Sequence[float]) -> float | None:
    """Return the least share that finds the next failing run with this confidence.

    Args:
        confidence: a probability above 0 and below 1.
        shares: of earlier failing runs, from ``share_until_failure``.

    Returns:
        The share; None if so few runs don't give that confidence: ``runs_for`` says how many do.

    Raises:
        InvalidArgumentError: the confidence is no such probability.

    """
    if not 0 < confidence < 1:
        raise InvalidArgumentError(f"confidence {confidence!r}: is a probability between 0 and 1")
    rank = math.ceil((len(shares) + 1) * confidence - _ROUNDING)
    return sorted(shares)[rank - 1] if rank <= len(shares) else None


def runs_for(confidence: float) -> int:
    """Return how many earlier failing runs it takes to give this confidence."""
    return math.ceil(confidence / (1 - confidence) - _ROUNDING)


def found_by(share: float, shares: Iterable[float]) -> int:
    """Return in how many of the earlier failing runs this share has found a failure."""
    return sum(each <= share + _ROUNDING for each in shares)


def first_within(durations: Sequence[float], share: float) -> int:
    """Return how many of the tests, in their order, fit into this share of their time."""
    limit = (share + _ROUNDING) * math.fsum(durations)
    taken = 0.0
    for position, seconds in enumerate(durations):
        taken += seconds
        if taken > limit:
            return position
    return len(durations)
