"""The test order of a project, learned in the shared memory and watched by a plain heuristic."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from lionagi_qe.learning.detection import share_until_failure
from lionagi_qe.learning.heuristics import optimal_order, recent_failure_order
from lionagi_qe.learning.names import ROOT, name_of, segment
from lionagi_qe.learning.napfd import napfd
from lionagi_qe.learning.policy import LearnedOrder
from lionagi_qe.learning.qtable import delete_prefix
from lionagi_qe.learning.shadow import Acting, Decision, Ran, Report, Scores
from lionagi_qe.learning.shadow_log import ShadowLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.learning.history import Candidate, Outcome
    from lionagi_qe.persistence import Memory

ORDERS = f"{ROOT}/order/"

_NAMES_LOGGED = 20
_REPLAYED = 1_000
# The expected NAPFD of a random order of which all runs, whatever fails.
_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class TestOrder:
    """What to run, in which order, and who decided.

    Attributes:
        number: of the logged decision.
        order: indices into ``candidates``, first to run first.
        acting: whether that is the learned order, the heuristic's, or none of them.
        learned, heuristic: both orders.
    """

    __test__ = False  # no test class, whatever its name begins with

    number: int
    candidates: tuple[Candidate, ...]
    order: tuple[int, ...]
    acting: Ran
    learned: tuple[int, ...]
    heuristic: tuple[int, ...]


class TestOrdering:
    """Decides the test order of a project and learns from its cycles.

    All state is in the memory under ``aqe/learning/order/<project>/``, so any process may decide
    or settle, and one that takes over decides as the one before would have. Beside each decision
    the order of the plain heuristic (recent failures first) is logged. When the learned one does
    worse for long, the heuristic's order is run until the learned one does better again.

    Args:
        memory: where the state is.
        project: whose tests they are.
        seed: breaks ties; equal seeds and states make equal decisions.
    """

    __test__ = False

    def __init__(self, memory: Memory, project: str, *, seed: int = 0) -> None:
        self._memory = memory
        self._prefix = f"{ORDERS}{segment(project)}/"
        self._seed = seed
        self._log = ShadowLog(memory, self._prefix, "order", "NAPFD")

    async def decide(
        self, candidates: Sequence[Candidate], budget: float = float("inf")
    ) -> TestOrder:
        """Return the order in which to run the candidates, and log the decision.

        Args:
            candidates: what could run.
            budget: the time there is, in the unit of their durations.

        Raises:
            LearningStateError: the memory holds a state that this version can't read.

        """
        policy = await self.policy()
        # By name, since an order without meaning must not depend on how it was handed in.
        by_name = sorted(range(len(candidates)), key=lambda index: candidates[index].name)
        tests = [candidates[index] for index in by_name]
        draw = f"{self._seed}/{policy.cycles}"
        learned = policy.order(tests, budget, Random(draw))  # noqa: S311 - no cryptography
        heuristic = recent_failure_order(
            tests,
            lambda name: [bool(result.failed) for result in policy.recent_results(name)],
            Random(draw),  # noqa: S311 - no cryptography
        )
        return await self.log(
            candidates,
            learned=[by_name[index] for index in learned],
            heuristic=[by_name[index] for index in heuristic],
            ran=await self.acting(),
        )

    async def learned_state(self) -> dict[str, Any]:
        """Return what ``propose`` needs, as JSON data: for whoever decides without the memory."""
        return {
            "policy": await self._memory.retrieve(f"{self._prefix}policy"),
            "acting": await self._log.acting(),
            "reason": await self._log.switched_because(),
        }

    async def log(
        self,
        candidates: Sequence[Candidate],
        *,
        learned: Sequence[int],
        heuristic: Sequence[int],
        ran: Ran,
    ) -> TestOrder:
        """Log a decision, which may have been taken elsewhere, and return it, to be settled.

        Args:
            candidates: what could run.
            learned: their indices in the learned order.
            heuristic: the same in the plain heuristic's.
            ran: which of them is run, or whether the candidates are run as given.

        """
        number = await self._log.next_number()
        orders = {
            "learned": tuple(learned),
            "heuristic": tuple(heuristic),
            "given": tuple(range(len(candidates))),
        }
        decided = TestOrder(
            number, tuple(candidates), orders[ran], ran, orders["learned"], orders["heuristic"]
        )
        await self._log.add(
            Decision(
                number,
                ran,
                len(candidates),
                _names(decided, decided.learned),
                _names(decided, decided.heuristic),
            )
        )
        return decided

    async def settle(
        self, decided: TestOrder, outcomes: Sequence[Outcome], *, whole: bool = False
    ) -> str | None:
        """Learn how the tests that ran ended, oldest first.

        Args:
            decided: the decision.
            outcomes: of the tests that ran.
            whole: whether all tests did that were to run: only then it is known how much of them
                finds a failure.

        Returns:
            In words, that and why the order to run from now on was switched; else None.

        Raises:
            InvalidArgumentError: the decision was settled before, or its log was deleted.

        """
        scores = _score(decided, outcomes)
        ran, failed = len(outcomes), sum(outcome.failed for outcome in outcomes)

        def observed(state: dict[str, Any] | None) -> dict[str, Any]:
            policy = LearnedOrder() if state is None else LearnedOrder.from_state(state)
            policy.observe(decided.candidates, outcomes)
            return policy.to_state()

        found_after = _found_after(decided, outcomes) if whole else None
        await self._log.settle(decided.number, ran, failed, scores, found_after)
        await self._memory.update(f"{self._prefix}policy", observed)
        return await self._log.review(decided.number)

    async def policy(self) -> LearnedOrder:
        """Return what was learned so far."""
        state = await self._memory.retrieve(f"{self._prefix}policy")
        return LearnedOrder() if state is None else LearnedOrder.from_state(state)

    async def acting(self) -> Acting:
        """Return whose order is run now."""
        return await self._log.acting()

    async def switched_because(self) -> str | None:
        """Return the reason of the last switch; None if there was none."""
        return await self._log.switched_because()

    async def decisions(self) -> list[Decision]:
        """Return all logged decisions, oldest first."""
        return await self._log.decisions()

    async def report(self) -> Report:
        """Return learned, heuristic, random and optimal orders side by side."""
        return await self._log.report()

    async def found_after(self) -> list[float]:
        """Return what ``learning.detection`` needs of the last 1,000 decisions: a share a run."""
        recent = await self._log.recent(_REPLAYED)
        return [each.found_after for each in recent if each.found_after is not None]

    async def reset(self) -> int:
        """Forget policy, log and switch; return how many entries there were."""
        return await delete_prefix(self._memory, self._prefix)


async def projects(memory: Memory) -> list[str]:
    """Return the projects whose test order was learned; reads keys only."""
    keys = await memory.list_keys(ORDERS)
    return sorted({name_of(key.removeprefix(ORDERS).split("/")[0]) for key in keys})


def _names(decided: TestOrder, order: Sequence[int]) -> tuple[str, ...]:
    return tuple(decided.candidates[index].name for index in order[:_NAMES_LOGGED])


def _score(decided: TestOrder, outcomes: Sequence[Outcome]) -> Scores | None:
    """Score the orders over the tests that ran; None without a failure among them."""
    failing = {outcome.name for outcome in outcomes if outcome.failed}
    names = {outcome.name for outcome in outcomes}
    ran = [index for index, test in enumerate(decided.candidates) if test.name in names]
    place = {index: position for position, index in enumerate(ran)}
    failed = [decided.candidates[index].name in failing for index in ran]
    if not any(failed):
        return None

    def score(order: Sequence[int]) -> float:
        return napfd([place[index] for index in order if index in place], failed)

    return Scores(
        learned=score(decided.learned),
        heuristic=score(decided.heuristic),
        random=_CHANCE,
        optimal=napfd(optimal_order([decided.candidates[index] for index in ran], failed), failed),
        given=score(range(len(decided.candidates))),
    )


def _found_after(decided: TestOrder, outcomes: Sequence[Outcome]) -> float | None:
    failing = {outcome.name for outcome in outcomes if outcome.failed}
    return share_until_failure(
        decided.learned,
        [test.duration for test in decided.candidates],
        [test.name in failing for test in decided.candidates],
    )
