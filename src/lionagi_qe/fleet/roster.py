"""Which agents there are, and which of them a run needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.agents.coverage_analyzer import CoverageAnalyzer
from lionagi_qe.agents.flaky_test_hunter import FlakyTestHunter
from lionagi_qe.agents.mutation_tester import MutationTester
from lionagi_qe.agents.quality_gate import QualityGate
from lionagi_qe.agents.regression_selector import RegressionSelector
from lionagi_qe.agents.static_analyzer import StaticAnalyzer
from lionagi_qe.agents.test_executor import TestExecutor
from lionagi_qe.agents.test_generator import TestGenerator
from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.agents.base import Agent

# In the order in which reports tell of them.
AGENTS: tuple[type[Agent], ...] = (
    TestExecutor,
    CoverageAnalyzer,
    StaticAnalyzer,
    RegressionSelector,
    FlakyTestHunter,
    MutationTester,
    TestGenerator,
    QualityGate,
)
# Those that take about as long as the tests themselves.
QUICK = ("test-executor", "coverage-analyzer", "static-analyzer", "quality-gate")


def names() -> list[str]:
    """Return the names of all agents."""
    return [agent.name for agent in AGENTS]


def agents_for(wanted: Iterable[str]) -> list[Agent]:
    """Return the agents of these names and those that they can't do without.

    Raises:
        InvalidArgumentError: there is no agent of a name.

    """
    by_name = {agent.name: agent for agent in AGENTS}
    chosen: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in by_name:
            known = ", ".join(by_name)
            raise InvalidArgumentError(f"agent {name!r}: unknown; known: {known}")
        if name not in chosen:
            chosen.add(name)
            waiting += by_name[name].needs
    return [agent() for agent in AGENTS if agent.name in chosen]


def agent_of(name: str) -> Agent:
    """Return the agent of that name, alone.

    Raises:
        InvalidArgumentError: there is none.

    """
    agents_for([name])
    return next(agent for agent in AGENTS if agent.name == name)()


def left_out(agents: Sequence[Agent]) -> list[str]:
    """Return the names of the agents that are not among these."""
    chosen = {agent.name for agent in agents}
    return [name for name in names() if name not in chosen]


def check_metrics(wanted: Iterable[str]) -> None:
    """Raise InvalidArgumentError for a metric that no agent at all states."""
    known = {metric for agent in AGENTS for metric in agent.metrics}
    for name in wanted:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise InvalidArgumentError(f"required metric {name!r}: unknown; known: {listed}")
