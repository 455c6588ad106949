"""Bandits: which of a few arms (mutants, rerun budgets, strategies) pays, learned across runs."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.qtable import QTable, QUpdate
from lionagi_qe.learning.step import LearnedValue, RateSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lionagi_qe.persistence import Memory

Strategy = Literal["thompson", "ucb"]

_STATE = "arms"


class Bandit:
    """Mean rewards of arms, under ``aqe/learning/q/<name>/arms/<arm>``: a Q-table of one state.

    Args:
        memory: where the arms live.
        name: what is being chosen, for example ``mutation-tester``.
        strategy: Thompson sampling, or the upper confidence bound (UCB1).
        rate: how an arm's mean moves; by default it is the plain mean of its rewards, with a floor
            of 1/50 so that it keeps up with change.
        seed: equal seeds and arms make equal choices, in any process.
    """

    def __init__(
        self,
        memory: Memory,
        name: str,
        *,
        strategy: Strategy = "thompson",
        rate: RateSchedule | None = None,
        seed: int = 0,
    ) -> None:
        self._table = QTable(memory, name, rate=rate or RateSchedule(floor=0.02))
        self._name = name
        self._index = _INDICES[strategy]
        self._seed = seed

    async def arms(self) -> dict[str, LearnedValue]:
        """Return {arm: mean reward and pulls} of the arms pulled so far."""
        return await self._table.values(_STATE)

    async def rank(self, arms: Sequence[str]) -> list[str]:
        """Return ``arms``, the one to pull first in front.

        What is drawn depends on the seed and the number of pulls only.

        Raises:
            InvalidArgumentError: there is no arm.

        """
        if not arms:
            raise InvalidArgumentError(f"bandit {self._name!r}: no arm to choose from")
        known = await self.arms()
        pulls = sum(value.visits for value in known.values())
        rng = Random(f"{self._seed}/{self._name}/{pulls}")  # noqa: S311 - no cryptography here
        index = {
            arm: (self._index(known.get(arm, LearnedValue()), pulls, rng), rng.random())
            for arm in arms
        }
        return sorted(arms, key=index.__getitem__, reverse=True)

    async def choose(self, arms: Sequence[str]) -> str:
        """Return the arm to pull now."""
        return (await self.rank(arms))[0]

    async def update(self, arm: str, reward: float) -> LearnedValue:
        """Count a pull of ``arm`` and its reward, from 0 to 1, in one atomic step."""
        return await self._table.update(_STATE, arm, _checked(reward))

    async def update_many(self, rewards: Sequence[tuple[str, float]]) -> None:
        """Count several pulls, in order, in one atomic step."""
        await self._table.update_many(
            [QUpdate(_STATE, arm, _checked(reward)) for arm, reward in rewards]
        )

    async def export(self) -> dict[str, Any]:
        """Return all arms as JSON data."""
        return await self._table.export()

    async def restore(self, exported: dict[str, Any]) -> int:
        """Replace the arms that ``exported`` names; return how many."""
        return await self._table.restore(exported)

    async def reset(self) -> int:
        """Forget all arms; return how many there were."""
        return await self._table.reset()


def _checked(reward: float) -> float:
    if not 0 <= reward <= 1:
        raise InvalidArgumentError(f"reward {reward!r}: a bandit's rewards are from 0 to 1")
    return reward


def drawn_mean(value: LearnedValue, rng: Random) -> float:
    """Draw a mean reward from its Beta posterior, from a uniform prior: Thompson sampling."""
    wins = value.q * value.visits
    return rng.betavariate(1 + wins, 1 + value.visits - wins)


def _thompson(value: LearnedValue, pulls: int, rng: Random) -> float:
    del pulls
    return drawn_mean(value, rng)


def _upper_bound(value: LearnedValue, pulls: int, rng: Random) -> float:
    """Return the UCB1 index (Auer et al., 2002); an arm never pulled comes first."""
    del rng
    if not value.visits:
        return math.inf
    return value.q + math.sqrt(2 * math.log(max(pulls, 1)) / value.visits)


_INDICES: Mapping[Strategy, Callable[[LearnedValue, int, Random], float]] = {
    "thompson": _thompson,
    "ucb": _upper_bound,
}
