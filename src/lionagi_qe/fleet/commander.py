"""Runs agents in the order of what they read from each other; one that fails stops nobody."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Agent, Examination, Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.errors import AqeError, InvalidArgumentError
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.fleet.plan import Budget, Start

# How much longer than its deadline an agent may take to wind up before it is cancelled.
# Who ends late by itself, on a busy machine, tells what was found; who is stopped, nothing.
_GRACE_SECONDS = 30.0
# The detail of findings that holds the trace of a defect.
DEFECT = "defect"


@dataclass(frozen=True, slots=True)
class Carried:
    """An examination that was carried out, and the seconds that it took."""

    findings: Findings
    seconds: float


# Where an agent's examination is carried out; in this process by default.
Dispatch = Callable[[Agent, Examination], Awaitable[Carried]]


async def examine_here(agent: Agent, examination: Examination) -> Carried:
    """Carry out an examination in this process."""
    started = time.monotonic()
    findings = await agent.examine(examination)
    return Carried(findings, time.monotonic() - started)


@dataclass(slots=True)
class Examined:
    """What came of the agents.

    Attributes:
        findings: by agent, in the order in which they ended.
        seconds: agent -> wall time, for those that did measure something.
    """

    findings: dict[str, Findings] = field(default_factory=dict[str, Findings])
    seconds: dict[str, float] = field(default_factory=dict[str, float])


async def run_agents(
    agents: Sequence[Agent],
    examination: Examination,
    budget: Budget,
    dispatch: Dispatch = examine_here,
) -> Examined:
    """Let each agent examine, when those that it reads from have ended.

    The figures of an agent that fails, or for which there is no time, are "not measured" with the
    reason, and the others go on.

    Args:
        agents: who examines.
        examination: what; the findings and the deadline are filled in for each agent.
        budget: when to start which agent, and for how long.
        dispatch: where examinations are carried out.

    Raises:
        InvalidArgumentError: agents wait for each other in a circle.

    """
    by_name = {agent.name: agent for agent in agents}
    sorter = _sorted(agents)
    examined = Examined()
    ready: dict[str, Agent] = {}
    running: dict[asyncio.Task[Carried], Agent] = {}
    waiting = dict(by_name)
    async with asyncio.TaskGroup() as group:
        while sorter.is_active():
            ready |= {name: by_name[name] for name in sorter.get_ready()}
            for start in budget.next_starts(
                ready.values(), list(running.values()), list(waiting.values())
            ):
                agent = start.agent
                del ready[agent.name], waiting[agent.name]
                own = replace(
                    examination, findings=dict(examined.findings), deadline=start.deadline
                )
                running[group.create_task(_run(start, own, dispatch))] = agent
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                name = running.pop(task).name
                carried = task.result()
                examined.findings[name] = carried.findings
                if any(metric.measured for metric in carried.findings.metrics):
                    examined.seconds[name] = carried.seconds
                sorter.done(name)
    return examined


def _sorted(agents: Sequence[Agent]) -> TopologicalSorter[str]:
    names = {agent.name for agent in agents}
    judges = {agent.name for agent in agents if agent.instant}
    sorter = TopologicalSorter(
        {
            # Who judges by others' findings waits for all of them, also those of agents it never
            # heard of.
            agent.name: names - judges if agent.instant else names.intersection(agent.after)
            for agent in agents
        }
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise InvalidArgumentError(f"agents wait for each other: {error.args[1]}") from error
    return sorter


async def _run(start: Start, examination: Examination, dispatch: Dispatch) -> Carried:
    agent, commit = start.agent, examination.workspace.commit
    started = time.monotonic()
    if start.refusal is not None:
        # Its figures tell why: a note would tell it again.
        return Carried(replace(failed(agent, start.refusal, commit), notes=()), 0.0)
    limit = None if start.deadline is None else start.deadline + _GRACE_SECONDS - started
    try:
        async with asyncio.timeout(limit):
            return await dispatch(agent, examination)
    except TimeoutError:
        findings = failed(agent, f"{agent.name} did not end in its time", commit)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the reason for no figures
        findings = failed_by(error, agent, examination)
    return Carried(findings, time.monotonic() - started)


def failed_by(error: Exception, agent: Agent, examination: Examination) -> Findings:
    """Return that an agent ended by an error; of a defect of ours, where it stood, as a detail."""
    said = redact_text(examination.workspace.shown(str(error)))
    reason = f"{agent.name} failed: {type(error).__name__}: {said}"
    ours = type(agent).__module__.partition(".")[0] == __name__.partition(".")[0]
    # What we raise for people, and what the machine refuses, is no defect.
    if not ours or isinstance(error, AqeError | OSError):
        return failed(agent, reason, examination.workspace.commit)
    trace = examination.workspace.shown("".join(traceback.format_exception(error)))
    findings = failed(agent, f"{reason} (a defect of aqe)", examination.workspace.commit)
    return replace(findings, details={DEFECT: trace})


def failed(agent: Agent, reason: str, commit: str | None) -> Findings:
    """Return that nothing was measured, with the reason as a note too."""
    findings = agent.unmeasured(Source(agent.name, None, None, commit), reason)
    return replace(findings, notes=(f"{agent.name}: {reason}",))
