"""``aqe select --select-time 60s`` and ``--confidence 0.95``: the tests likeliest to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import telling
from lionagi_qe.errors import MemoryMissingError
from lionagi_qe.fleet.part_of_tests import order_of_known, part_of_known
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from lionagi_qe.agents.selection.part import Part
    from lionagi_qe.fleet.request import Request


def select_part(
    request: Request, *, seconds: float | None, confidence: float | None, as_document: bool
) -> Exit:
    """Print the part of the known tests that a time or a confidence asks for."""
    with telling("reading what earlier runs taught"):
        part = run_until_told(_part(request, seconds, confidence))
    if part is None or not part.chosen:
        # Nothing on stdout: what reads it expects tests.
        say("aqe: not known which tests there are: no run of them was kept yet", err=True)
        return Exit.NOT_MEASURED
    if as_document:
        show_json(_document(request, part))
        return Exit.PASSED
    for test in part.chosen:
        say(test)
    say(part.told, err=True)
    return Exit.PASSED


async def _part(request: Request, seconds: float | None, confidence: float | None) -> Part | None:
    """Return the part; None where there is no memory of the project yet."""
    try:
        return await _chosen(request, seconds, confidence)
    except MemoryMissingError:
        return None


async def _chosen(request: Request, seconds: float | None, confidence: float | None) -> Part:
    async with open_memory(request.memory_url, fleet=request.fleet, migrate=False) as memory:
        order = await order_of_known(memory, request.project, request.path, setting="learned")
        return await part_of_known(
            memory, request.project, order, seconds=seconds, confidence=confidence
        )


def _document(request: Request, part: Part) -> dict[str, object]:
    return {
        "project": request.project,
        "selected": list(part.chosen),
        "left_out": sorted(part.left_out),
        "seconds": round(part.seconds, 3),
        "all_seconds": round(part.all_seconds, 3),
        "earlier_failing_runs": part.runs,
        "would_have_found": part.found,
        "confidence": round(part.confidence, 4) if part.left_out else 1.0,
        "about": part.told,
    }
