"""A part of a project's tests, chosen by what earlier runs in the memory taught."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lionagi_qe.agents.selection.change_overlap import touched
from lionagi_qe.agents.selection.part import Part, part_by_confidence, part_by_time
from lionagi_qe.agents.selection.prioritization import POLICY, TestOrder, decide
from lionagi_qe.fleet.coverage_maps import Maps
from lionagi_qe.fleet.learned_state import LearnedState
from lionagi_qe.fleet.run_history import RunHistory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.persistence import Entry, Memory


async def order_of_known(  # noqa: PLR0913 - whose tests, where, and how
    memory: Memory,
    name: str,
    directory: Path,
    *,
    setting: str,
    entries: Mapping[str, Entry] | None = None,
    by_change: bool = True,
) -> TestOrder:
    """Decide on the order of the tests that the memory knows.

    Costs a scan of their histories, unless ``entries`` are given, and a few round trips.

    Args:
        memory: where the results are.
        name: under which they are kept.
        directory: the project's.
        setting: "auto", "learned" or "default".
        entries: the histories, see ``RunHistory.entries``.
        by_change: whether tests of changed code come first; costs a look at each mapped file.

    Raises:
        LearningStateError: what was learned can't be read.

    """
    seconds = await RunHistory(memory, name).seconds(entries)
    learned = await LearnedState(memory, name).of_agents((), seconds)
    shares: dict[str, float] = {}
    test_map = await Maps(memory, name).retrieve() if by_change else None
    if test_map is not None:
        shares = await asyncio.to_thread(touched, directory, test_map)
    return decide(learned[POLICY], shares, setting)


async def part_of_known(
    memory: Memory,
    name: str,
    order: TestOrder,
    *,
    seconds: float | None = None,
    confidence: float | None = None,
) -> Part:
    """Return the part of ordered tests that is to run; costs two round trips.

    Args:
        memory: where the results are.
        name: under which they are kept.
        order: of the tests that the memory knows.
        seconds: most that the part may take.
        confidence: without ``seconds``, the probability with which it is to find a failing run.

    Raises:
        InvalidArgumentError: the confidence is no probability between 0 and 1.

    """
    found_after = await LearnedState(memory, name).found_after()
    if seconds is not None:
        return part_by_time(order, seconds, found_after)
    return part_by_confidence(order, 0.0 if confidence is None else confidence, found_after)
