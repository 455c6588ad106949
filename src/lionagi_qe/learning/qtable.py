"""Q-tables: learned worths of small discrete choices, shared by all agents of a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.names import ROOT, name_of, segment
from lionagi_qe.learning.step import (
    PARTITION,
    SCHEMA,
    LearnedValue,
    RateSchedule,
    Step,
    apply_steps,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence import Memory

TABLES = f"{ROOT}/q/"

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Exploration:
    """How often a choice is made at random: ``max(floor, initial / (1 + visits) ** power)``.

    ``visits`` are those of the state, over all its actions.
    """

    initial: float = 1.0
    power: float = 0.5
    floor: float = 0.05

    def at(self, visits: int) -> float:
        """Return the probability after ``visits`` visits."""
        return max(self.floor, self.initial / (1 + visits) ** self.power)


class QUpdate(NamedTuple):
    """Move Q(state, action) towards ``target``."""

    state: str
    action: str
    target: float


class QTable:
    """Q-values and visit counts under ``aqe/learning/q/<agent>/<state>/<action>``.

    Each is an ordinary entry, so they are copied, exported and searched like all others. Agents
    anywhere may update the same table at once and lose nothing.

    Args:
        memory: where the table lives.
        agent: whose table it is.
        rate: the learning rate by visit count.
        exploration: the probability of a random choice by visit count.
        discount: what the worth of the next state counts, from 0 to 1.
        seed: equal seeds and tables make equal choices, in any process.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        memory: Memory,
        agent: str,
        *,
        rate: RateSchedule | None = None,
        exploration: Exploration | None = None,
        discount: float = 0.9,
        seed: int = 0,
    ) -> None:
        if not 0 <= discount <= 1:
            raise InvalidArgumentError(f"discount {discount!r}: is from 0 to 1")
        self._memory = memory
        self._prefix = f"{TABLES}{segment(agent)}/"
        self._rate = rate or RateSchedule()
        self._exploration = exploration or Exploration()
        self._discount = discount
        self._seed = seed

    def key(self, state: str, action: str) -> str:
        """Return the key under which Q(state, action) is kept."""
        return f"{self._prefix}{segment(state)}/{segment(action)}"

    async def value(self, state: str, action: str) -> LearnedValue:
        """Return Q(state, action) with its visit count; zeros if it was never visited."""
        key = self.key(state, action)
        found = await self._memory.retrieve(key)
        return LearnedValue() if found is None else LearnedValue.from_entry(key, found)

    async def values(self, state: str) -> dict[str, LearnedValue]:
        """Return {action: value} of the actions of ``state`` visited so far."""
        prefix = f"{self._prefix}{segment(state)}/"
        return {
            name_of(entry.key.removeprefix(prefix)): LearnedValue.from_entry(entry.key, entry.value)
            async for entry in self._memory.scan(prefix)
        }

    async def update(self, state: str, action: str, target: float) -> LearnedValue:
        """Move Q(state, action) towards ``target`` and count the visit, in one atomic step."""
        step = Step(self.key(state, action), target)
        return (await apply_steps(self._memory, [step], self._rate))[step.key]

    async def update_many(self, updates: Sequence[QUpdate]) -> dict[tuple[str, str], LearnedValue]:
        """Apply all updates, in order, in one atomic step.

        Returns:
            {(state, action): value} of those updated, as the step left them.

        """
        prefix = self._prefix
        steps = [
            Step(f"{prefix}{segment(state)}/{segment(action)}", target)
            for state, action, target in updates
        ]
        values = await apply_steps(self._memory, steps, self._rate)
        return {
            (update.state, update.action): values[step.key]
            for update, step in zip(updates, steps, strict=True)
        }

    async def learn(
        self, state: str, action: str, reward: float, next_state: str | None = None
    ) -> LearnedValue:
        """Update by Q-learning: towards the reward plus the discounted best of the next state.

        Without ``next_state`` the episode is over and the target is the reward.
        """
        future = 0.0
        if next_state is not None:
            worths = [value.q for value in (await self.values(next_state)).values()]
            future = max(worths, default=0.0)
        return await self.update(state, action, reward + self._discount * future)

    async def choose(self, state: str, actions: Sequence[str]) -> str:
        """Return the best of ``actions``, or now and then one at random (epsilon-greedy).

        What is drawn depends on the seed, the state and its visit count only, so a process that
        takes over decides as the one before would have.

        Raises:
            InvalidArgumentError: there is no action to choose from.

        """
        if not actions:
            raise InvalidArgumentError(f"state {state!r}: no action to choose from")
        known = await self.values(state)
        visits = sum(value.visits for value in known.values())
        rng = Random(f"{self._seed}/{state}/{visits}")  # noqa: S311 - no cryptography here
        if rng.random() < self._exploration.at(visits):
            return rng.choice(actions)
        worth = {action: known.get(action, LearnedValue()).q for action in actions}
        best = max(worth.values())
        return rng.choice([action for action in actions if worth[action] == best])

    async def export(self) -> dict[str, Any]:
        """Return the whole table as JSON data, by state and action."""
        states: dict[str, dict[str, dict[str, float]]] = {}
        async for entry in self._memory.scan(self._prefix):
            state, action = map(name_of, entry.key.removeprefix(self._prefix).split("/"))
            value = LearnedValue.from_entry(entry.key, entry.value)
            states.setdefault(state, {})[action] = {"q": value.q, "visits": value.visits}
        return {"schema": SCHEMA, "states": states}

    async def restore(self, exported: dict[str, Any]) -> int:
        """Replace the values that ``exported`` names; return how many.

        Raises:
            LearningStateError: it is no export of this schema; nothing was changed.

        """
        values: dict[str, Any] = {}
        try:
            for state, actions in exported["states"].items():
                for action, value in actions.items():
                    key = self.key(state, action)
                    found = LearnedValue.from_entry(key, {"schema": exported["schema"], **value})
                    values[key] = found.to_entry()
        except (KeyError, TypeError, AttributeError) as error:
            raise LearningStateError(f"no export of a Q-table: {error!r}") from error
        keys = list(values)
        for start in range(0, len(keys), _BATCH):
            part = {key: values[key] for key in keys[start : start + _BATCH]}
            await self._memory.store_many(part, ttl=None, partition=PARTITION)
        return len(values)

    async def reset(self) -> int:
        """Forget everything; return how many values there were."""
        return await delete_prefix(self._memory, self._prefix)


async def agents(memory: Memory) -> list[str]:
    """Return the agents and bandits that have learned values; reads keys only."""
    keys = await memory.list_keys(TABLES)
    return sorted({name_of(key.removeprefix(TABLES).split("/")[0]) for key in keys})


async def delete_prefix(memory: Memory, prefix: str) -> int:
    """Delete the entries whose keys start with ``prefix``, in batches; return how many."""
    keys = await memory.list_keys(prefix)
    return sum(
        [
            await memory.delete_many(keys[start : start + _BATCH])
            for start in range(0, len(keys), _BATCH)
        ]
    )
