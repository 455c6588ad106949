"""Runs agents in the order of what they read from each other; one that fails stops nobody."""

from __future__ import annotations

import asyncio
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Examination, Findings
from lionagi_qe.agents.coverage_analyzer import CoverageAnalyzer
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.quality_gate import QualityGate
from lionagi_qe.agents.test_executor import TestExecutor
from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.agents.base import Agent, Progress
    from lionagi_qe.agents.environment import Environment
    from lionagi_qe.agents.settings import Settings
    from lionagi_qe.agents.workspace import Workspace


def default_agents() -> list[Agent]:
    """Return the agents of a plain ``aqe run``."""
    return [TestExecutor(), CoverageAnalyzer(), QualityGate()]


def check_required(names: Iterable[str], agents: Sequence[Agent]) -> None:
    """Raise InvalidArgumentError for a required metric that none of the agents states."""
    known = {metric for agent in agents for metric in agent.metrics}
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise InvalidArgumentError(f"required metric {name!r}: unknown; known: {listed}")


async def examine(
    agents: Sequence[Agent],
    workspace: Workspace,
    environment: Environment,
    settings: Settings,
    progress: Progress,
) -> dict[str, Findings]:
    """Return what each agent found, by name, in the order in which they ended.

    Agents that don't read from each other run at the same time. The figures of an agent that
    fails are "not measured", with its error as the reason, and the others go on.

    Raises:
        InvalidArgumentError: agents wait for each other in a circle.

    """
    by_name = {agent.name: agent for agent in agents}
    sorter = TopologicalSorter(
        {
            name: [other for other in agent.after if other in by_name]
            for name, agent in by_name.items()
        }
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise InvalidArgumentError(f"agents wait for each other: {error.args[1]}") from error
    findings: dict[str, Findings] = {}
    running: dict[asyncio.Task[Findings], str] = {}
    async with asyncio.TaskGroup() as group:
        while sorter.is_active():
            for name in sorter.get_ready():
                examination = Examination(
                    workspace, environment, settings, dict(findings), progress
                )
                running[group.create_task(_run(by_name[name], examination))] = name
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                name = running.pop(task)
                findings[name] = task.result()
                sorter.done(name)
    return findings


async def _run(agent: Agent, examination: Examination) -> Findings:
    try:
        return await agent.examine(examination)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the reason for no figures
        return _failed(agent, error, examination.workspace.commit)


def _failed(agent: Agent, error: Exception, commit: str | None) -> Findings:
    reason = f"{agent.name} failed: {type(error).__name__}: {error}"
    source = Source(agent.name, None, None, commit)
    return Findings(
        agent.name,
        tuple(source.unmeasured(name, unit, reason) for name, unit in agent.metrics.items()),
        notes=(reason,),
    )
