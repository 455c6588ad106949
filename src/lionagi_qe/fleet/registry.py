"""Which agents there are, and which of them a run needs; only those are imported.

Besides ours, packages can bring agents: an entry point of the group ``lionagi_qe.agents`` names the
class, and its own name is the agent's.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Agent
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.nearest import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.metadata import EntryPoint

# Name -> folder of ``agents`` and class in its ``agent`` module, in the order in which reports tell
# of them.
_CLASSES = {
    "test-executor": ("execution", "TestExecutor"),
    "coverage-analyzer": ("coverage", "CoverageAnalyzer"),
    "static-analyzer": ("static", "StaticAnalyzer"),
    "type-checker": ("type_check", "TypeChecker"),
    "dependency-auditor": ("dependency_audit", "DependencyAuditor"),
    "package-checker": ("package_check", "PackageChecker"),
    "performance-tester": ("performance", "PerformanceTester"),
    "docs-tester": ("docs_examples", "DocsTester"),
    "api-contract-tester": ("api_contract", "ApiContractTester"),
    "regression-selector": ("selection", "RegressionSelector"),
    "flaky-test-hunter": ("flaky", "FlakyTestHunter"),
    "mutation-tester": ("mutation", "MutationTester"),
    "test-generator": ("generation", "TestGenerator"),
    "quality-gate": ("gate", "QualityGate"),
}
# Those that take about as long as the tests themselves.
QUICK = ("test-executor", "coverage-analyzer", "static-analyzer", "quality-gate")

# Those that take part only where they are named: they look things up in the network, build, or run
# code of the project that its tests don't.
NAMED_ONLY = frozenset(
    {"api-contract-tester", "dependency-auditor", "docs-tester", "package-checker"}
)
# The word for all of them, those included.
ALL = "all"
# Those of which reports tell in a form of their own.
TOLD_APART = frozenset(
    {
        *QUICK,
        "regression-selector",
        "flaky-test-hunter",
        "mutation-tester",
        "test-generator",
    }
)


def within_budget() -> list[str]:
    """Return the names of the agents that take part where there is time and none is named."""
    return [name for name in names() if name not in NAMED_ONLY]


def names() -> list[str]:
    """Return the names of all agents: ours, then those of installed packages."""
    return [*_CLASSES, *_plugins()]


def is_ours(name: str) -> bool:
    """Whether every worker knows an agent of this name."""
    return name in _CLASSES


def name_of(agent: str | Agent) -> str:
    """Return the name of an agent that is given by name or as itself."""
    return agent if isinstance(agent, str) else agent.name


def all_agents() -> list[type[Agent]]:
    """Return the classes of all agents; imports what any of them needs."""
    return [_class_of(name) for name in names()]


def agents_for(wanted: Iterable[str | Agent], stand_in: Agent | None = None) -> list[Agent]:
    """Return the agents wanted, given by name or as themselves, and those that they need.

    Ours come in the order in which reports tell of them, the others before the instant ones.

    Args:
        wanted: names, or agents of the caller's own.
        stand_in: takes the place of ours of its name, if that one is wanted or needed.

    Raises:
        InvalidArgumentError: there is no agent of a name, or there are two.

    """
    chosen: dict[str, Agent] = {}
    waiting = list(wanted)
    # Those given as themselves go before others of their names, which they might be needed by.
    waiting.sort(key=lambda agent: not isinstance(agent, str))
    while waiting:
        agent = waiting.pop()
        name = name_of(agent)
        if isinstance(agent, str):
            if name in chosen:
                continue
            if stand_in is not None and stand_in.name == name:
                agent = stand_in
            else:
                agent = _class_of(name)()
        elif name in _CLASSES or chosen.get(name, agent) is not agent:
            raise InvalidArgumentError(
                f"agent {name!r}: there is one already; name yours otherwise"
            )
        chosen[name] = agent
        waiting += agent.needs
    order = {name: at for at, name in enumerate(_CLASSES)}
    return sorted(
        chosen.values(), key=lambda agent: (agent.instant, order.get(agent.name, len(order)))
    )


def agent_of(name: str) -> Agent:
    """Return the agent of that name, alone.

    Raises:
        InvalidArgumentError: there is none.

    """
    return _class_of(name)()


def _class_of(name: str) -> type[Agent]:
    if name in _CLASSES:
        folder, kind = _CLASSES[name]
        return getattr(import_module(f"lionagi_qe.agents.{folder}.agent"), kind)
    plugins = _plugins()
    if name not in plugins:
        raise InvalidArgumentError(f"agent {name!r}: unknown; {meant(name, names())}")
    try:
        found = plugins[name].load()
    except Exception as error:
        # Whatever a package of others raises as it is imported.
        msg = f"agent {name!r}: {plugins[name].value} can't be loaded: {error}"
        raise InvalidArgumentError(msg) from error
    if not (isinstance(found, type) and issubclass(found, Agent) and found.name == name):
        msg = f"agent {name!r}: {plugins[name].value} is no Agent of that name"
        raise InvalidArgumentError(msg)
    return found


@cache
def _plugins() -> dict[str, EntryPoint]:
    found = entry_points(group="lionagi_qe.agents")
    return {plugin.name: plugin for plugin in found if plugin.name not in _CLASSES}


def left_out(agents: Sequence[Agent]) -> list[str]:
    """Return the names of the agents that are not among these."""
    chosen = {agent.name for agent in agents}
    return [name for name in names() if name not in chosen]


def check_distinct(agents: Sequence[Agent]) -> None:
    """Raise InvalidArgumentError for an agent that states a metric of another one's name.

    Ours count even where they take no part: histories and gates know metrics by name alone.
    """
    others = [agent for agent in agents if not is_ours(agent.name)]
    if not others:
        # All of ours are loaded for this, which takes a moment.
        return
    owners = {metric: name for name in _CLASSES for metric in _class_of(name).metrics}
    for agent in others:
        for metric in agent.metrics:
            owner = owners.setdefault(metric, agent.name)
            if owner != agent.name:
                msg = f"agent {agent.name!r}: its metric {metric!r} is one of {owner}'s; rename it"
                raise InvalidArgumentError(msg)


def check_metrics(wanted: Iterable[str], agents: Sequence[Agent] = ()) -> None:
    """Raise InvalidArgumentError for a metric that no agent at all states, nor one of these."""
    asked = list(wanted)
    if not asked:
        return
    known = {metric for agent in [*all_agents(), *agents] for metric in agent.metrics}
    for name in asked:
        if name not in known:
            raise InvalidArgumentError(f"metric {name!r}: unknown; {meant(name, sorted(known))}")
