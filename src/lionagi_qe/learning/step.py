"""The one step by which learned values change: ``q += rate * (target - q)``, ``visits += 1``.

Everything that learns numbers goes through ``apply_steps``: one atomic step on the server where the
backend can take it there (all of ours), else compare-and-set.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError, RevisionConflictError
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.persistence.contract.operations import Learn
from lionagi_qe.persistence.values.entry import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence import Entry, Memory

SCHEMA = 1
PARTITION = "learning"
_LONGEST_PAUSE = 0.05

# Coroutines of one process take turns; only other processes can make a batch try again.
_turns: weakref.WeakKeyDictionary[Memory, asyncio.Lock] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class LearnedValue:
    """A learned number and how many targets it was moved towards."""

    q: float = 0.0
    visits: int = 0

    def to_entry(self) -> dict[str, Any]:
        """Return it as it is kept in the memory."""
        return {"schema": SCHEMA, "q": self.q, "visits": self.visits}

    @classmethod
    def from_entry(cls, key: str, value: Any) -> LearnedValue:  # noqa: ANN401 - as stored
        """Return what the memory holds under ``key``; LearningStateError if it is no such value."""
        match value:
            case {"schema": int(schema), **_unread} if schema > SCHEMA:
                raise LearningStateError(
                    f"{key!r}: has schema {schema}, this version reads {SCHEMA}; upgrade"
                )
            case {"schema": 1, "q": int() | float() as q, "visits": int(visits)}:
                return cls(float(q), visits)
            case _:
                raise LearningStateError(f"{key!r}: holds no learned value; see `aqe learn reset`")


@dataclass(frozen=True, slots=True)
class RateSchedule:
    """How far a value moves towards its target: ``max(floor, initial / (1 + visits) ** power)``.

    The default is the running mean until the 20th visit, then an average that keeps up with
    change.
    """

    initial: float = 1.0
    power: float = 1.0
    floor: float = 0.05

    def __post_init__(self) -> None:
        if not (0 < self.initial <= 1 and self.power >= 0 and 0 <= self.floor <= 1):
            raise InvalidArgumentError(
                f"{self!r}: initial is above 0 and at most 1, power not negative, floor from 0 to 1"
            )

    def at(self, visits: int) -> float:
        """Return the rate for the visit after ``visits`` others."""
        return max(self.floor, self.initial / (1 + visits) ** self.power)


class Step(NamedTuple):
    """Move the value under ``key`` towards ``target``."""

    key: str
    target: float


async def apply_steps(
    memory: Memory,
    steps: Sequence[Step],
    rate: RateSchedule,
    *,
    initial: float = 0.0,
    timeout: float = 30.0,
) -> dict[str, LearnedValue]:
    """Take all steps, in order, as one atomic change; return the values that they led to.

    Concurrent callers lose nothing. On Redis Cluster a batch is atomic per shard. Costs one round
    trip; on a backend that can't learn two, and two more for each time that another came between.

    Args:
        memory: where the values live.
        steps: may name a key several times.
        rate: the learning rate by visit count.
        initial: what a value starts from.
        timeout: seconds in which to win against other writers.

    Raises:
        RevisionConflictError: others kept winning until ``timeout``; nothing was changed.
        LearningStateError: an entry holds something else; nothing was changed.

    """
    if not steps:
        return {}
    if memory.capabilities.learns:
        return await _learn(memory, steps, rate, initial, timeout)
    return await _compare_and_set(memory, steps, rate, initial, timeout)


async def _learn(
    memory: Memory, steps: Sequence[Step], rate: RateSchedule, initial: float, timeout: float
) -> dict[str, LearnedValue]:
    """Let the server take the steps, one operation a key."""
    targets: defaultdict[str, list[float]] = defaultdict(list)
    for key, target in steps:
        targets[key].append(target)
    operations = [
        Learn(key, tuple(each), initial, rate.initial, rate.power, rate.floor, PARTITION)
        for key, each in sorted(targets.items())
    ]
    try:
        learned = await memory.learn_many(operations, timeout=timeout)
    except InvalidValueError as error:
        raise LearningStateError(f"{error}; see `aqe learn reset`") from error
    return {
        operation.key: LearnedValue(float(value.q), value.visits)
        for operation, value in zip(operations, learned, strict=True)
    }


async def _compare_and_set(
    memory: Memory, steps: Sequence[Step], rate: RateSchedule, initial: float, timeout: float
) -> dict[str, LearnedValue]:
    """Take the steps here, again and again until nobody came between."""
    keys = sorted({step.key for step in steps})
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    pause = 0.001
    async with _turns.setdefault(memory, asyncio.Lock()):
        while True:
            entries = dict(zip(keys, await asyncio.gather(*map(memory.entry, keys)), strict=True))
            values = _advance(entries, steps, rate, initial)
            try:
                await memory.store_many(
                    {
                        key: Item(
                            values[key].to_entry(),
                            if_revision=0 if entry is None else entry.revision,
                        )
                        for key, entry in entries.items()
                    },
                    ttl=None,
                    partition=PARTITION,
                )
            except RevisionConflictError:
                if loop.time() >= deadline:
                    raise
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - no cryptography
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return values


def _advance(
    entries: dict[str, Entry | None], steps: Sequence[Step], rate: RateSchedule, initial: float
) -> dict[str, LearnedValue]:
    values = {
        key: LearnedValue(initial) if entry is None else LearnedValue.from_entry(key, entry.value)
        for key, entry in entries.items()
    }
    for step in steps:
        value = values[step.key]
        moved = value.q + rate.at(value.visits) * (step.target - value.q)
        values[step.key] = LearnedValue(moved, value.visits + 1)
    return values
