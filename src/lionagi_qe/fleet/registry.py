"""Which agents there are, and which of them a run needs; only those are imported."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.agents.base import Agent

# Name -> folder of ``agents`` and class in its ``agent`` module, in the order in which reports tell
# of them.
_CLASSES = {
    "test-executor": ("execution", "TestExecutor"),
    "coverage-analyzer": ("coverage", "CoverageAnalyzer"),
    "static-analyzer": ("static", "StaticAnalyzer"),
    "regression-selector": ("selection", "RegressionSelector"),
    "flaky-test-hunter": ("flaky", "FlakyTestHunter"),
    "mutation-tester": ("mutation", "MutationTester"),
    "test-generator": ("generation", "TestGenerator"),
    "quality-gate": ("gate", "QualityGate"),
}
# Those that take about as long as the tests themselves.
QUICK = ("test-executor", "coverage-analyzer", "static-analyzer", "quality-gate")


def names() -> list[str]:
    """Return the names of all agents."""
    return list(_CLASSES)


def all_agents() -> list[type[Agent]]:
    """Return the classes of all agents; imports what any of them needs."""
    return [_class_of(name) for name in _CLASSES]


def agents_for(wanted: Iterable[str]) -> list[Agent]:
    """Return the agents of these names and those that they can't do without.

    Raises:
        InvalidArgumentError: there is no agent of a name.

    """
    chosen: dict[str, type[Agent]] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen[name] = _class_of(name)
            waiting += chosen[name].needs
    return [chosen[name]() for name in _CLASSES if name in chosen]


def agent_of(name: str) -> Agent:
    """Return the agent of that name, alone.

    Raises:
        InvalidArgumentError: there is none.

    """
    return _class_of(name)()


def _class_of(name: str) -> type[Agent]:
    if name not in _CLASSES:
        raise InvalidArgumentError(f"agent {name!r}: unknown; known: {', '.join(_CLASSES)}")
    folder, kind = _CLASSES[name]
    return getattr(import_module(f"lionagi_qe.agents.{folder}.agent"), kind)


def left_out(agents: Sequence[Agent]) -> list[str]:
    """Return the names of the agents that are not among these."""
    chosen = {agent.name for agent in agents}
    return [name for name in names() if name not in chosen]


def check_metrics(wanted: Iterable[str]) -> None:
    """Raise InvalidArgumentError for a metric that no agent at all states."""
    asked = list(wanted)
    if not asked:
        return
    known = {metric for agent in all_agents() for metric in agent.metrics}
    for name in asked:
        if name not in known:
            alike = get_close_matches(name, known)
            listed = ", ".join(sorted(known))
            told = f"did you mean {' or '.join(alike)}?" if alike else f"known: {listed}"
            raise InvalidArgumentError(f"metric {name!r}: unknown; {told}")
