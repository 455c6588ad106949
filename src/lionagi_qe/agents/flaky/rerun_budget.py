"""What to spend a hunt's further sessions on: seeds, orders or mere repetition."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.bandit import drawn_mean
from lionagi_qe.learning.choices import Made, known_arms
from lionagi_qe.learning.shadow import Scores
from lionagi_qe.learning.step import LearnedValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.learning.shadow import Acting

POLICY = "reruns"
# The plain choice: mostly seeds, since what is rare shows there only by numbers.
ROUND = ("seeds", "seeds", "seeds", "order", "same")
_ARMS = sorted(set(ROUND))
# How often whoever was the better so far chooses where the two differ.
_TRUSTED = 0.75


@dataclass(frozen=True, slots=True)
class Choice:
    """One session: what either would do, what was done, and how likely each was to be done."""

    learned: str
    plain: str
    done: str
    learned_chance: float
    plain_chance: float


@dataclass(slots=True)
class RerunChoice:
    """Chooses by Thompson sampling, beside the plain rounds, and keeps count of both.

    Where they differ a draw decides, so that each is seen; what came of it is weighed by how
    likely it was (inverse propensity), which makes the comparison fair. Equal learned states and
    outcomes make equal choices.
    """

    acting: Acting
    rng: Random
    arms: dict[str, LearnedValue] | None
    choices: list[Choice] = field(default_factory=list[Choice])
    rewards: list[float] = field(default_factory=list[float])

    @classmethod
    def of(cls, learned_state: Mapping[str, Any] | None, part: int = 0) -> RerunChoice:
        """Return the choice by a learned state; by plain rounds without one.

        Args:
            learned_state: what was learned.
            part: of the hunt, where several workers divide it, so that each draws for itself.

        """
        if learned_state is None:
            return cls("heuristic", Random(0), None)  # noqa: S311 - no cryptography here
        arms = known_arms(learned_state)
        pulls = sum(value.visits for value in arms.values())
        rng = Random(f"reruns/{pulls}/{part}")  # noqa: S311 - no cryptography here
        return cls(learned_state["acting"], rng, arms)

    def next(self) -> str:
        """Return what the next session shall change: one of ROUND."""
        plain = ROUND[len(self.choices) % len(ROUND)]
        if self.arms is None:
            choice = Choice(plain, plain, plain, 1.0, 1.0)
        else:
            drawn = {arm: drawn_mean(self.arms.get(arm, LearnedValue()), self.rng) for arm in _ARMS}
            learned = max(drawn, key=drawn.__getitem__)
            choice = self._between(learned, plain)
        self.choices.append(choice)
        return choice.done

    def tell(self, *, found: bool) -> None:
        """Say whether the last session showed a flaky test that none had shown before."""
        self.rewards.append(float(found))
        if self.arms is not None:
            arm = self.choices[len(self.rewards) - 1].done
            known = self.arms.get(arm, LearnedValue())
            mean = known.q + (found - known.q) / (known.visits + 1)
            self.arms[arm] = LearnedValue(mean, known.visits + 1)

    def made(self) -> Made | None:
        """Return the choices with what came of them; None if there were none."""
        if self.arms is None or not self.rewards:
            return None
        done = list(zip(self.choices, self.rewards, strict=False))
        means = [self.arms[arm].q for arm in {choice.done for choice, _ in done}]
        return Made(
            self.acting,
            [(choice.done, reward) for choice, reward in done],
            [choice.learned for choice, _ in done],
            [choice.plain for choice, _ in done],
            Scores(
                _mean([r / c.learned_chance if c.done == c.learned else 0.0 for c, r in done]),
                _mean([r / c.plain_chance if c.done == c.plain else 0.0 for c, r in done]),
                _mean(means),
                max(means),
            ),
        )

    def _between(self, learned: str, plain: str) -> Choice:
        if learned == plain:
            return Choice(learned, plain, plain, 1.0, 1.0)
        chance = _TRUSTED if self.acting == "learned" else 1 - _TRUSTED
        done = learned if self.rng.random() < chance else plain
        return Choice(learned, plain, done, chance, 1 - chance)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
