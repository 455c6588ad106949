"""Small choices that an agent makes many times a run: a bandit, and the log of what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.bandit import Bandit
from lionagi_qe.learning.names import ROOT, name_of, segment
from lionagi_qe.learning.qtable import delete_prefix
from lionagi_qe.learning.shadow import Decision, Ran, Scores
from lionagi_qe.learning.shadow_log import ShadowLog
from lionagi_qe.learning.step import LearnedValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.learning.shadow import Report
    from lionagi_qe.persistence import Memory

CHOICES = f"{ROOT}/choices/"
# What is chosen -> what one reward is, for people.
KINDS: dict[str, str] = {
    "reruns": "finds per session",
    "mutants": "survivors per mutant",
}

_NAMES_LOGGED = 20


@dataclass(frozen=True, slots=True)
class Made:
    """The choices of one run and what came of them, as plain data goes through ``as_details``.

    Attributes:
        acting: who chose the more often.
        pulls: (arm, reward from 0 to 1), in order.
        learned, heuristic: the arms that either would have pulled, or did.
        scores: mean rewards; None if they can't be compared.
    """

    acting: Ran
    pulls: Sequence[tuple[str, float]]
    learned: Sequence[str]
    heuristic: Sequence[str]
    scores: Scores | None

    @classmethod
    def all_of(cls, parts: Sequence[Made]) -> Made:
        """Return what several workers chose as the choices of one run."""
        pulls = [pull for part in parts for pull in part.pulls]

        def mean(name: str) -> float:
            sums = [len(part.pulls) * getattr(part.scores, name) for part in parts if part.scores]
            return sum(sums) / sum(len(part.pulls) for part in parts if part.scores)

        scores = None
        if any(part.scores is not None for part in parts):
            scores = Scores(mean("learned"), mean("heuristic"), mean("random"), mean("optimal"))
        return cls(
            parts[0].acting,
            pulls,
            [arm for part in parts for arm in part.learned],
            [arm for part in parts for arm in part.heuristic],
            scores,
        )

    def as_details(self) -> dict[str, Any]:
        """Return it as JSON data."""
        scores = self.scores
        return {
            "acting": self.acting,
            "pulls": [list(pull) for pull in self.pulls],
            "learned": list(self.learned[:_NAMES_LOGGED]),
            "heuristic": list(self.heuristic[:_NAMES_LOGGED]),
            "scores": None
            if scores is None
            else [scores.learned, scores.heuristic, scores.random, scores.optimal],
        }

    @classmethod
    def of_details(cls, details: Mapping[str, Any]) -> Made:
        """Return what ``as_details`` wrote."""
        scores = details["scores"]
        return cls(
            details["acting"],
            [(arm, reward) for arm, reward in details["pulls"]],
            details["learned"],
            details["heuristic"],
            None if scores is None else Scores(*scores),
        )


class Choices:
    """What a project's agents choose again and again, learned in the shared memory.

    The arms are those of the bandit ``<kind> of <project>``; under
    ``aqe/learning/choices/<project>/<kind>/`` is what each run chose, with the plain choice beside
    it. Where the learned choices are worse for long, the plain ones are made, and the learned
    ones only as often as it takes to notice that they are better again.

    Args:
        memory: where everything is kept.
        project: whose agents they are.
        kind: one of KINDS.
    """

    def __init__(self, memory: Memory, project: str, kind: str) -> None:
        self._memory = memory
        self._bandit = Bandit(memory, f"{kind} of {project}")
        self._prefix = f"{CHOICES}{segment(project)}/{segment(kind)}/"
        self._log = ShadowLog(memory, self._prefix, f"choice of {kind}", KINDS[kind])

    async def learned_state(self) -> dict[str, Any]:
        """Return what was learned, as JSON data; costs a scan of the arms."""
        arms = await self._bandit.arms()
        return {
            "arms": {arm: [value.q, value.visits] for arm, value in arms.items()},
            "acting": await self._log.acting(),
            "reason": await self._log.switched_because(),
        }

    async def add(self, made: Made) -> str | None:
        """Learn from the choices of a run, in one atomic step, and log them.

        Returns:
            In words, that and why others choose from now on; else None.

        """
        await self._bandit.update_many(made.pulls)
        number = await self._log.next_number()
        paid = sum(reward > 0 for _, reward in made.pulls)
        await self._log.add(
            Decision(
                number,
                made.acting,
                len(made.pulls),
                tuple(made.learned),
                tuple(made.heuristic),
                len(made.pulls),
                paid,
                made.scores,
            )
        )
        return await self._log.review(number)

    async def acting(self) -> str:
        """Return who decides now."""
        return await self._log.acting()

    async def switched_because(self) -> str | None:
        """Return the reason of the last switch; None if there was none."""
        return await self._log.switched_because()

    async def report(self) -> Report:
        """Return learned, plain, random and optimal choices side by side."""
        return await self._log.report()

    async def reset(self) -> int:
        """Forget arms, log and switch; return how many entries there were."""
        return await self._bandit.reset() + await delete_prefix(self._memory, self._prefix)


def known_arms(learned_state: Mapping[str, Any]) -> dict[str, LearnedValue]:
    """Return the arms of a learned state."""
    return {arm: LearnedValue(q, visits) for arm, (q, visits) in learned_state["arms"].items()}


async def chosen(memory: Memory) -> list[tuple[str, str]]:
    """Return project and kind of all choices that were learned; reads keys only."""
    keys = await memory.list_keys(CHOICES)
    return sorted({_of_key(key) for key in keys})


def _of_key(key: str) -> tuple[str, str]:
    project, kind = key.removeprefix(CHOICES).split("/")[:2]
    return name_of(project), name_of(kind)
