"""Which mutants to try first: an even sample, and beside it those where others survived before."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.bandit import drawn_mean
from lionagi_qe.learning.choices import Made, known_arms
from lionagi_qe.learning.names import segment
from lionagi_qe.learning.shadow import Scores
from lionagi_qe.learning.step import LearnedValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.mutation.operators import Mutant
    from lionagi_qe.agents.mutation.runner import Candidate
    from lionagi_qe.learning.shadow import Acting

POLICY = "mutants"
# Every how many mutants one is chosen by what was learned: by whoever was the better so far.
_EVERY: Mapping[Acting, int] = {"learned": 2, "heuristic": 8}
_LONGEST_ARM = 200
# Arms are drawn anew after this share of them was pulled.
_SHARE = 10
_JUDGED = {"survived": 1.0, "killed": 0.0, "timed out": 0.0}


@dataclass(frozen=True, slots=True)
class MutantChoice:
    """In which order mutants are tried.

    Attributes:
        order: indices of the candidates, which come as an even sample.
        learned: those of them that were chosen by what was learned.
        acting: who chooses the more often.
    """

    order: Sequence[int]
    learned: frozenset[int]
    acting: Acting

    def sample(self, outcomes: Mapping[int, str]) -> set[int]:
        """Return the tried mutants that are an even sample: all up to the first untried one."""
        untried = (number for number in range(len(self.order)) if number not in outcomes)
        return set(range(next(untried, len(self.order))))

    def made(self, candidates: Sequence[Candidate], outcomes: Mapping[int, str]) -> Made:
        """Return the choices with what came of them.

        The plain choice is scored by the even sample, which is also what chance would choose.
        """
        judged = {number: _JUDGED[each] for number, each in outcomes.items() if each in _JUDGED}
        arms = [arm_of(each.mutant) for each in candidates]
        hunted = [judged[number] for number in self.order if number in self.learned & judged.keys()]
        sample = [
            judged[number]
            for number in sorted(self.sample(outcomes) & judged.keys())
            if not candidates[number].changed
        ]
        scores = None
        # Where all were tried, how they were chosen made no difference.
        if hunted and sample and len(outcomes) < len(candidates):
            plain = sum(sample) / len(sample)
            best = min(1.0, sum(judged.values()) / len(hunted))
            scores = Scores(sum(hunted) / len(hunted), plain, plain, best)
        return Made(
            self.acting,
            [(arms[number], judged[number]) for number in self.order if number in judged],
            [arms[number] for number in self.order if number in self.learned],
            arms,
            scores,
        )


def arm_of(mutant: Mutant) -> str:
    """Return what mutants of one function have in common; the end of what is too long for a key."""
    name = f"{mutant.file}::{mutant.function}".encode("utf-8", "replace").decode()
    while len(segment(name).encode()) > _LONGEST_ARM:
        name = name[1:]
    return name


def choose(
    candidates: Sequence[Candidate], learned_state: Mapping[str, Any] | None
) -> MutantChoice:
    """Mix the candidates as they come with those of functions where others survived before.

    Functions are chosen by Thompson sampling, their mutants as they come. Those of changed lines
    stay in front. Equal candidates and learned states make equal choices.

    Args:
        candidates: those of changed lines first, then an even sample.
        learned_state: what was learned; None or without arms for the candidates as they are.

    """
    arms = {} if learned_state is None else known_arms(learned_state)
    if learned_state is None or not arms:
        return MutantChoice(range(len(candidates)), frozenset(), "heuristic")
    acting: Acting = learned_state["acting"]
    changed = sum(each.changed for each in candidates)
    taken = set(range(changed))
    order = list(range(changed))
    learned: set[int] = set()
    plain = iter(range(changed, len(candidates)))
    hunt = _hunt(candidates, changed, arms)
    while len(order) < len(candidates):
        by_learning = len(order) % _EVERY[acting] == _EVERY[acting] - 1
        number = next(each for each in (hunt if by_learning else plain) if each not in taken)
        taken.add(number)
        order.append(number)
        if by_learning:
            learned.add(number)
    return MutantChoice(order, frozenset(learned), acting)


def _hunt(
    candidates: Sequence[Candidate], first: int, arms: Mapping[str, LearnedValue]
) -> Iterator[int]:
    waiting: dict[str, list[int]] = {}
    for number in range(len(candidates) - 1, first - 1, -1):
        waiting.setdefault(arm_of(candidates[number].mutant), []).append(number)
    pulls = sum(value.visits for value in arms.values())
    rng = Random(f"mutants/{pulls}")  # noqa: S311 - no cryptography here
    while waiting:
        drawn = {arm: drawn_mean(arms.get(arm, LearnedValue()), rng) for arm in sorted(waiting)}
        best = sorted(drawn, key=drawn.__getitem__, reverse=True)
        for arm in best[: 1 + len(best) // _SHARE]:
            yield waiting[arm].pop()
            if not waiting[arm]:
                del waiting[arm]
