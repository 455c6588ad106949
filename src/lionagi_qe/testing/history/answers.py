"""Judges how calls end: in time, with an error of the package's if any, leaving nothing behind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe import errors
from lionagi_qe.testing.history.operations import NEVER
from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.violation import Promises

# What a caller that is cancelled gets is its own doing.
_KNOWN = {*errors.__all__, "CancelledError", ""}


def judge_answers(history: History, promises: Promises) -> Iterator[Violation]:
    """Yield calls that were answered late or by a stray error, and what processes left behind.

    Time during which a process did not run at all (``stall``) is not counted.
    """
    stalls: dict[str, list[Operation]] = defaultdict(list)
    for stall in history.of("stall"):
        stalls[stall.process].append(stall)
    closed = {each.process: each for each in history.of("closed")}
    for operation in history.operations:
        if operation.error not in _KNOWN:
            message = f"{operation.error}: {operation.result}"
            yield Violation(Kind.STRAY_ERROR, message, (operation,))
        if operation.timeout is None:
            continue
        end = operation.answered
        if end == NEVER:
            if operation.process not in closed:
                continue  # It was killed meanwhile.
            end = closed[operation.process].invoked
        took = end - operation.invoked - _asleep(stalls[operation.process], operation.invoked, end)
        if took > operation.timeout + promises.grace:
            message = f"after {took:.3f} s, with a timeout of {operation.timeout:g} s"
            yield Violation(Kind.LATE_ANSWER, message, (operation,))
    for end in closed.values():
        left = {what: found for what, found in end.arguments.items() if found}
        if left:
            yield Violation(Kind.LEFT_OVER, f"{end.process}: {left}", (end,))


def _asleep(stalls: list[Operation], begin: float, end: float) -> float:
    return sum(
        max(0.0, min(end, stall.arguments["until"]) - max(begin, stall.arguments["since"]))
        for stall in stalls
    )
