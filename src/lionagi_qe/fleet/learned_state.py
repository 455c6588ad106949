"""What a project's runs teach, kept in the memory; agents get and return it as plain data.

Agents find it in ``History.learned``, and tell in the details of their findings what they decided:

``order``: of the tests. Kept by ``TestOrdering``; beside it, in ``aqe/learning/hunted/<project>``,
what the last hunt for flaky tests tells of orders: which tests it tried, and which of them mind.

``parallel``: whether tests mind running side by side, by the number of sessions and the version of
Python: what ``agents/execution/parallel`` found, kept as it is in
``aqe/learning/parallel/<project>``.

``reruns`` and ``mutants``: what a hunt's further sessions change, and which mutants are tried. Kept
by ``Choices``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.execution.parallel import POLICY as PARALLEL
from lionagi_qe.agents.selection.prioritization import POLICY as ORDER
from lionagi_qe.agents.selection.prioritization import follows
from lionagi_qe.fleet.key_segments import project_segment
from lionagi_qe.learning.choices import Choices, Made
from lionagi_qe.learning.history import Candidate, Outcome
from lionagi_qe.learning.names import ROOT, segment
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.step import PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.persistence import Memory

_RAN = BAD | {"passed", "xfailed", "xpassed"}


class LearnedState:
    """The part of what was learned that belongs to one project.

    Args:
        memory: where everything is kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        name = learning_name(project)
        self._ordering = TestOrdering(memory, name)
        self._choices = {
            agent: (kind, Choices(memory, name, kind))
            for agent, kind in (("flaky-test-hunter", "reruns"), ("mutation-tester", "mutants"))
        }
        self._last = f"{ROOT}/last/{project_segment(project)}"
        self._hunted = f"{ROOT}/hunted/{project_segment(project)}"
        self._parallel = f"{ROOT}/parallel/{project_segment(project)}"

    async def of_agents(
        self, agents: Iterable[str], seconds: Mapping[str, float]
    ) -> dict[str, Any]:
        """Return what was learned, for the agents of the next run.

        Args:
            agents: their names.
            seconds: test -> how long it took in the last run.

        Raises:
            LearningStateError: the memory holds what this version can't read.

        """
        # Read through once here, where what is wrong can be told.
        await self._ordering.policy()
        hunted = await self._memory.retrieve(self._hunted)
        order = await self._ordering.learned_state()
        learned: dict[str, Any] = {ORDER: order | {"seconds": dict(seconds), "hunted": hunted}}
        found = await self._memory.retrieve(self._parallel)
        learned[PARALLEL] = {"found": found or {}, "seconds": dict(seconds)}
        for agent in self._choices.keys() & set(agents):
            kind, choices = self._choices[agent]
            learned[kind] = await choices.learned_state()
        return learned

    async def add(self, run: str, findings: Mapping[str, Findings]) -> list[str]:
        """Learn from the findings of a run, once; return what a reader should know of it.

        A run that is resumed while it was learned from is not learned from again.

        Raises:
            LearningStateError: the memory holds what this version can't read.

        """
        if await self._memory.retrieve(self._last) == run:
            return []
        await self._memory.store(self._last, run, ttl=None, partition=PARTITION)
        remarks = await self._add_order(findings)
        await self._add_hunt(findings)
        await self._add_parallel(findings)
        for agent, (kind, choices) in self._choices.items():
            made = findings[agent].details.get(kind) if agent in findings else None
            reason = None if made is None else await choices.add(Made.of_details(made))
            if reason is not None:
                remarks.append(f"{kind} are chosen otherwise from now on: {reason}")
        return remarks

    async def _add_order(self, findings: Mapping[str, Findings]) -> list[str]:
        executor = findings.get("test-executor")
        decision = None if executor is None else executor.details.get("order")
        if executor is None or decision is None or not decision["tests"]:
            return []
        candidates = [
            Candidate(*each)
            for each in zip(
                decision["tests"], decision["durations"], decision["touched"], strict=True
            )
        ]
        decided = await self._ordering.log(
            candidates,
            learned=decision["learned"],
            heuristic=decision["heuristic"],
            ran=decision["ran"],
        )
        outcomes = [
            Outcome(test["id"], test["outcome"] in BAD)
            for test in executor.details["tests"]
            if test["outcome"] in _RAN
        ]
        reason = await self._ordering.settle(decided, outcomes)
        if decision["minding"]:
            await self._mind(decision["minding"])
        return [] if reason is None else [f"the order of tests was switched: {reason}"]

    async def _add_parallel(self, findings: Mapping[str, Findings]) -> None:
        executor = findings.get("test-executor")
        told = None if executor is None else executor.details.get(PARALLEL)
        if told is None or told["found"] is None:
            return

        def extended(found: dict[str, Any] | None) -> dict[str, Any]:
            return (found or {}) | {told["about"]: told["found"]}

        await self._memory.update(self._parallel, extended)

    async def _mind(self, tests: list[str]) -> None:
        def minding(hunted: dict[str, Any] | None) -> dict[str, Any]:
            known: dict[str, Any] = hunted or {"schema": 1, "tests": [], "minding": []}
            return known | {"minding": sorted({*known["minding"], *tests})}

        await self._memory.update(self._hunted, minding)

    async def _add_hunt(self, findings: Mapping[str, Findings]) -> None:
        hunter = findings.get("flaky-test-hunter")
        orders = None if hunter is None else hunter.details.get("orders")
        if hunter is None or orders is None or not (orders["sessions"] or orders["minding"]):
            return
        hunted = {
            "schema": 1,
            "tests": sorted(hunter.details["runs"]),
            "minding": orders["minding"],
        }
        await self._memory.store(self._hunted, hunted, ttl=None, partition=PARTITION)


def learning_name(project: str) -> str:
    """Return the name under which what a project taught is kept: its own, unless keys can't."""
    short = project_segment(project)
    return project if segment(project) == short else short


def wants_map(learned: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the tests of changed code are to run first, so that it must be known which they are.

    That is so wherever another order than pytest's own is followed.
    """
    return ORDER in learned and follows(settings.order, learned[ORDER])
