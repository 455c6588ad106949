"""What each call did to each key: the steps by which entries are judged, one key at a time."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lionagi_qe.testing.history.operations import NEVER

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.violation import Promises

What = Literal["put", "delete", "add", "touch", "read", "conflict", "expire"]
# What may come from a cache.
_CACHED = ("retrieve", "retrieve_many")


@dataclass(frozen=True, slots=True)
class EntryStep:
    """What one call did to one key, or learned of it.

    Attributes:
        operation: the call.
        key: the entry.
        what: which step; "expire" is nobody's call, but what follows from a TTL.
        invoked: when it can have taken effect at the soonest.
        ended: when at the latest.
        required: it did take effect.
        value: written or read, as canonical JSON; None for no entry.
        revision: that was told; 0 for none.
        expected: the revision that the change depended on.
        amount: what was added.
        told: what the call returned, where that is neither value nor revision.
        ttl: seconds until it expires; 0 for never.
    """

    operation: Operation
    key: str
    what: What
    invoked: float
    ended: float
    required: bool = True
    value: str | None = None
    revision: int = 0
    expected: int | None = None
    amount: float = 0
    told: Any = None
    ttl: float = 0

    @property
    def effect(self) -> Hashable:
        """Equal for steps that come to the same in every state."""
        life = self.operation.number if self.ttl or self.what == "expire" else -1
        return self.what, self.value, self.expected, self.amount, life

    @property
    def is_change(self) -> bool:
        """Whether it changed the entry, if it took effect."""
        removal = self.what == "delete" and self.told is not False
        return removal or self.what in {"put", "add", "expire"}


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """All that happened to one key.

    Attributes:
        key: the entry.
        steps: those that took effect or may have, in the order of their beginnings.
        refused: changes that said that they weren't applied.
    """

    key: str
    steps: list[EntryStep]
    refused: list[EntryStep]

    @property
    def has_changes(self) -> bool:
        """Whether a recorded call was to change it."""
        return bool(self.refused) or any(step.what != "read" for step in self.steps)


def canonical(value: object) -> str | None:
    """Return a value as text that is equal for equal values; None for no entry."""
    return None if value is None else json.dumps(value, sort_keys=True)


def by_key(history: History, promises: Promises) -> list[KeyHistory]:
    """Return the history of each key that was read or changed."""
    found: dict[str, KeyHistory] = {}

    def of(key: str) -> KeyHistory:
        return found.setdefault(key, KeyHistory(key, [], []))

    for operation in history.operations:
        for step in _steps(operation):
            key = of(step.key)
            if operation.outcome == "fail":
                key.refused.append(replace(step, what=_asked(step)))
                if step.what == "conflict":
                    key.steps.append(step)
                continue
            key.steps.append(step)
            if step.ttl:
                key.steps.append(_expiry(step, promises))
    if promises.max_stale:
        for key in found.values():
            key.steps[:] = _widened(key.steps, promises.max_stale)
    for key in found.values():
        key.steps.sort(key=lambda step: step.invoked)
    return list(found.values())


def _asked(step: EntryStep) -> What:
    """Return what a change was to do, whatever it came to."""
    if step.what != "conflict":
        return step.what
    return "delete" if step.operation.function == "delete" else "put"


def _expiry(step: EntryStep, promises: Promises) -> EntryStep:
    begins = step.invoked + step.ttl - promises.early
    return replace(
        step, what="expire", invoked=begins, ended=NEVER, required=False, revision=0, ttl=0
    )


def _widened(steps: Iterable[EntryStep], max_stale: float) -> Iterator[EntryStep]:
    """Let reads that a cache may have answered be of up to ``max_stale`` seconds before.

    But not of before the last change of the same process.
    """
    own: dict[str, float] = defaultdict(float)
    for step in sorted(steps, key=lambda each: each.invoked):
        process = step.operation.process
        if step.what == "read" and step.operation.function in _CACHED:
            sooner = max(step.invoked - max_stale, min(own[process], step.invoked))
            yield replace(step, invoked=sooner)
        else:
            if step.is_change and step.required:
                own[process] = max(own[process], math.nextafter(step.ended, math.inf))
            yield step


def _steps(operation: Operation) -> Iterator[EntryStep]:
    arguments = operation.arguments
    match operation.function:
        case "store" | "delete" | "increment" | "touch":
            told = operation.result if operation.outcome == "ok" else None
            yield _change(operation, operation.function, arguments, told)
        case "retrieve" | "entry" if operation.outcome == "ok":
            yield _read(operation, arguments["key"], operation.result)
        case "retrieve_many" if operation.outcome == "ok":
            for key in arguments["keys"]:
                yield _read(operation, key, operation.result.get(key))
        case "store_many" | "transaction":
            for change in changes_of(operation):
                yield _change(operation, change["function"], change)
        case _:
            return


def changes_of(operation: Operation) -> list[dict[str, Any]]:
    """Return the changes of a batch or a transaction, each as if it were a call of its own."""
    arguments = operation.arguments
    if operation.function == "transaction":
        return list(arguments["changes"])
    common = {name: value for name, value in arguments.items() if name != "items"}
    return [
        {**common, "function": "store", "key": key, "value": value}
        for key, value in arguments["items"].items()
    ]


def _change(
    operation: Operation, function: str, arguments: Mapping[str, Any], told: Any = None
) -> EntryStep:
    key = arguments["key"]
    step = EntryStep(
        operation,
        key,
        "put",
        operation.invoked,
        operation.ended,
        required=operation.outcome == "ok",
        expected=arguments.get("if_revision"),
        ttl=arguments.get("ttl") or 0,
    )
    if operation.error == "RevisionConflictError":
        # Of one change of a call; of the others it is only known that they weren't made.
        if operation.result["key"] == key:
            actual = operation.result["actual"]
            value = canonical(arguments.get("value"))
            return replace(step, what="conflict", required=True, value=value, told=actual, ttl=0)
        return step
    if operation.outcome == "ok" and told is None and isinstance(operation.result, dict):
        told = operation.result.get(key)
    if function == "store":
        revision = told if isinstance(told, int) else 0
        return replace(step, value=canonical(arguments["value"]), revision=revision)
    if function == "increment":
        return replace(step, what="add", amount=arguments.get("amount", 1), told=told)
    return replace(step, what="delete" if function == "delete" else "touch", told=told)


def _read(operation: Operation, key: str, result: Any) -> EntryStep:
    revision = 0
    if operation.function == "entry" and result is not None:
        result, revision = result["value"], result["revision"]
    return EntryStep(
        operation,
        key,
        "read",
        operation.invoked,
        operation.ended,
        value=canonical(result),
        revision=revision,
    )
