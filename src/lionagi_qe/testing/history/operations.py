"""What a history consists of: calls with their outcomes, and what was observed beside them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Outcome = Literal["ok", "fail", "info"]
NEVER = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A call of a memory, or an observation, which takes no time.

    Times are seconds of one monotonic clock that all recording processes share.

    Attributes:
        number: unique in its history.
        process: who called; one handle on the memory.
        function: which call; see ``recording`` for the names and arguments that are judged.
        arguments: what was asked for; JSON data.
        invoked: when the call began.
        outcome: "ok": applied and answered; "fail": it said that nothing was changed; "info": not
            known, so that it may have been applied at any time since, or never.
        answered: when the caller was answered; ``NEVER`` if its process ended before.
        result: of an "ok", what was returned; of a "fail", what the error tells.
        error: the error's class; "" if there was none.
        timeout: seconds within which the caller asked to be answered; None if it set no limit.
    """

    number: int
    process: str
    function: str
    arguments: Mapping[str, Any]
    invoked: float
    outcome: Outcome
    answered: float
    result: Any = None
    error: str = ""
    timeout: float | None = None

    @property
    def ended(self) -> float:
        """The last moment at which it can have taken effect; ``NEVER`` if that isn't known."""
        return NEVER if self.outcome == "info" else self.answered

    def __str__(self) -> str:
        told = self.error or self.result
        until = "never" if self.answered == NEVER else f"{self.answered:.3f}"
        return (
            f"#{self.number} {self.process} {self.function}({_short(self.arguments)}) "
            f"{self.outcome} {_short(told)} [{self.invoked:.3f}, {until}]"
        )


class History:
    """Operations of all processes, in the order in which they were invoked."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations: Sequence[Operation] = sorted(operations, key=lambda each: each.invoked)

    def of(self, *functions: str) -> list[Operation]:
        """Return the operations of these functions."""
        return [each for name in functions for each in self._by_function.get(name, ())]

    @cached_property
    def _by_function(self) -> Mapping[str, list[Operation]]:
        found: dict[str, list[Operation]] = {}
        for each in self.operations:
            found.setdefault(each.function, []).append(each)
        return found


def read_history(paths: Iterable[Path]) -> History:
    """Read what processes recorded, one file each.

    A call without an answer is "info". A last line that is cut short, as by a kill, doesn't count.

    Raises:
        ValueError: a line within a file can't be read, or answers no call.

    """
    operations: list[Operation] = []
    for path in sorted(paths):
        operations += _read(path, len(operations))
    return History(operations)


def _read(path: Path, first: int) -> list[Operation]:
    calls: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, Any]] = {}
    lines = path.read_bytes().split(b"\n")
    for at, line in enumerate(lines[:-1], 1):
        try:
            event: dict[str, Any] = json.loads(line)
            call = int(event["call"])
            if event["phase"] == "invoke":
                calls[call] = event
            else:
                answers[call] = event
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{path}, line {at}: is no event of a history ({error}); record it anew"
            raise ValueError(msg) from error
    if orphans := answers.keys() - calls.keys():
        msg = f"{path}: answers of calls that never began: {sorted(orphans)}; record it anew"
        raise ValueError(msg)
    return [
        _operation(first + at, event, answers.get(call))
        for at, (call, event) in enumerate(calls.items())
    ]


def _operation(number: int, call: dict[str, Any], answer: dict[str, Any] | None) -> Operation:
    answer = answer or {}
    return Operation(
        number,
        call["process"],
        call["function"],
        call["arguments"],
        call["at"],
        answer.get("phase", "info"),
        answer.get("at", NEVER),
        answer.get("result"),
        answer.get("error", ""),
        call.get("timeout"),
    )


def _short(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, default=str)
    longest = 120
    return text if len(text) <= longest else text[:longest] + "..."
