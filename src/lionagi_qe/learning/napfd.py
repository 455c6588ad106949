"""NAPFD, the measure of a test order under a time budget, and the schedule that it scores.

Normalized Average Percentage of Faults Detected (Qu, Cohen and Woolf, "Combinatorial Interaction
Regression Testing", ICSM 2007) as the RETECS study computes it (Spieker et al., ISSTA 2017): every
failing execution counts as one fault, ranks are those in the schedule, and n counts all
executions of the cycle, scheduled or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def schedule(order: Sequence[int], durations: Sequence[float], budget: float) -> list[int]:
    """Return the part of ``order`` that runs within ``budget``.

    Tests are taken in order; one that does not fit into what is left of the budget is skipped,
    and later ones may still fit.

    Args:
        order: indices into ``durations``.
        durations: how long each test takes.
        budget: total time, in the unit of ``durations``.

    """
    used = 0.0
    scheduled: list[int] = []
    for index in order:
        if used + durations[index] <= budget:
            used += durations[index]
            scheduled.append(index)
    return scheduled


def napfd(scheduled: Sequence[int], failed: Sequence[bool]) -> float:
    """Return the NAPFD of a schedule: p - sum(ranks) / (m * n) + p / (2 * n), from 0 to 1.

    Args:
        scheduled: indices of the tests that ran, in order (ranks start at 1).
        failed: of every test of the cycle, whether it fails when run.

    Raises:
        ValueError: the cycle has no failure, so the measure is not defined.

    """
    failures = sum(failed)
    if not failures:
        raise ValueError("NAPFD of a cycle without failures is not defined; leave the cycle out")
    ranks = [rank for rank, index in enumerate(scheduled, start=1) if failed[index]]
    found = len(ranks) / failures
    tests = len(failed)
    return found - sum(ranks) / (failures * tests) + found / (2 * tests)
