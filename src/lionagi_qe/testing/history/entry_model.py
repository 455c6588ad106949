"""The sequential specification of one entry: values, revisions, numbers, expiry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.history.steps import EntryStep, What


class EntryState(NamedTuple):
    """An entry between two steps.

    Attributes:
        value: as canonical JSON; None if there is no entry.
        revision: its own; 0 if nobody was told it.
        floor: the largest revision of the key that anybody was told.
        life: the number of the call whose TTL it has; -1 for none.
    """

    value: str | None = None
    revision: int = 0
    floor: int = 0
    life: int = -1


class EntryModel:
    """What each step comes to in each state."""

    def initial(self) -> EntryState:
        """Return the state before all steps: no entry."""
        return EntryState()

    def apply(self, state: EntryState, step: EntryStep, /) -> EntryState | None:
        """Return the state after the step; None if it can't have been answered so."""
        return _STEPS[step.what](state, step)


def _read(state: EntryState, step: EntryStep) -> EntryState | None:
    if state.value != step.value:
        return None
    return _resolve(state, step.revision) if step.revision else state


def _expire(state: EntryState, step: EntryStep) -> EntryState | None:
    if state.value is None or state.life != step.operation.number:
        return None
    return EntryState(floor=state.floor)


def _resolve(state: EntryState, revision: int) -> EntryState | None:
    """Return the state in which the entry is known to have this revision."""
    if state.value is None or (state.revision and state.revision != revision):
        return None
    if state.revision:
        return state
    return state._replace(revision=revision, floor=revision) if revision > state.floor else None


def _expected(state: EntryState, step: EntryStep) -> EntryState | None:
    """Return the state if the change's condition holds in it."""
    if step.expected is None:
        return state
    if step.expected == 0:
        return state if state.value is None else None
    return _resolve(state, step.expected)


def _put(state: EntryState, step: EntryStep) -> EntryState | None:
    found = _expected(state, step)
    if found is None or (step.revision and step.revision <= found.floor):
        return None
    life = step.operation.number if step.ttl else -1
    return EntryState(step.value, step.revision, max(found.floor, step.revision), life)


def _delete(state: EntryState, step: EntryStep) -> EntryState | None:
    found = _expected(state, step)
    if found is None or (step.told is not None and step.told != (found.value is not None)):
        return None
    return found if found.value is None else EntryState(floor=found.floor)


def _add(state: EntryState, step: EntryStep) -> EntryState | None:
    number = json.loads(state.value or "0")
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    total = number + step.amount
    if step.told is not None and step.told != total:
        return None
    return EntryState(json.dumps(total), 0, state.floor, state.life if state.value else -1)


def _touch(state: EntryState, step: EntryStep) -> EntryState | None:
    if step.told is not None and step.told != (state.value is not None):
        return None
    if state.value is None:
        return state
    return state._replace(life=step.operation.number if step.ttl else -1)


def _conflict(state: EntryState, step: EntryStep) -> EntryState | None:
    """It was refused, as the entry had another revision than the expected one: ``told``."""
    if step.told is None:
        return state if state.value is None and step.expected != 0 else None
    if step.told == step.expected:
        return None
    return _resolve(state, step.told)


_STEPS: dict[What, Callable[[EntryState, EntryStep], EntryState | None]] = {
    "put": _put,
    "delete": _delete,
    "add": _add,
    "touch": _touch,
    "read": _read,
    "conflict": _conflict,
    "expire": _expire,
}
