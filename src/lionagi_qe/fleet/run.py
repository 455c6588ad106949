"""One run of the fleet over one project, from the copy to what it remembers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Examination, Step
from lionagi_qe.agents.execution import environment as environments
from lionagi_qe.agents.gate.rules import parse_rules
from lionagi_qe.agents.project.diff import diff_of
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import AqeError
from lionagi_qe.fleet.commander import examine
from lionagi_qe.fleet.learned_state import Lessons
from lionagi_qe.fleet.learned_state import wants_map as orders
from lionagi_qe.fleet.plan import Budget
from lionagi_qe.fleet.registry import agents_for, check_metrics, left_out
from lionagi_qe.fleet.run_history import Ledger
from lionagi_qe.fleet.start import start
from lionagi_qe.fleet.task_distribution import Dispatcher
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.persistence import open_memory
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from lionagi_qe.agents.base import Agent, Findings, Progress
    from lionagi_qe.agents.execution.environment import Environment
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.fleet.comparison import Comparison
    from lionagi_qe.fleet.start import Started
    from lionagi_qe.persistence import Memory


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run has to report.

    Attributes:
        run: its id.
        project: the name under which it is kept.
        path: the user's tree.
        commit: that was examined, if under git.
        at: when it began, UTC.
        environment: that the tests ran in.
        findings: by agent.
        comparison: with the previous run, if there was one.
        memory: URL of the memory, without secrets.
        unkept: why the memory does not hold the results, if so.
        left_out: agents that were not asked for.
        remarks: what a reader should know of the run as a whole.
    """

    run: str
    project: str
    path: Path
    commit: str | None
    at: datetime
    environment: Environment
    findings: Mapping[str, Findings]
    comparison: Comparison | None
    memory: str
    unkept: AqeError | None
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Return the figure of that name, whichever agent states it."""
        found = (findings.metric(name) for findings in self.findings.values())
        return next(filter(None, found), None)

    def detail(self, agent: str, name: str) -> Any:  # noqa: ANN401 - JSON data
        """Return a detail of an agent's findings; [] if it has none."""
        findings = self.findings.get(agent)
        return [] if findings is None else findings.details.get(name, [])

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know."""
        return [
            *self.environment.notes,
            *self.remarks,
            *(note for findings in self.findings.values() for note in findings.notes),
        ]


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for.

    Attributes:
        path: the user's tree.
        project: the name under which results are kept.
        pyproject: the project's metadata.
        settings: limits and gate.
        agents: names of those wanted; those that they need come along.
        python: the project's own interpreter; None for a cached environment.
        memory_url: where results are kept.
        shown_url: the same without secrets.
        budget: most seconds in all; None for no limit.
        base: a commit to compare with.
        resume: go on with the project's last run that did not end, as it was asked for.
        fleet: whose part of the memory the results are kept in.
    """

    path: Path
    project: str
    pyproject: dict[str, Any]
    settings: Settings
    agents: Sequence[str]
    python: Path | None
    memory_url: str
    shown_url: str
    budget: float | None = None
    base: str | None = None
    resume: bool = False
    fleet: str = DEFAULT_FLEET


async def run(request: Request, progress: Progress) -> Outcome:
    """Examine a project and remember the results; its tree is only read.

    Raises:
        ProjectError: the base can't be compared with.
        InvalidArgumentError: an agent, a required metric or a rule is unknown.
        EnvironmentBuildError: the project's environment could not be prepared.
        BackendUnavailableError: the memory can't be reached.

    """
    began = time.monotonic()
    check(request)
    # The memory first: without it nothing that follows would be kept.
    async with open_memory(request.memory_url, fleet=request.fleet) as memory:
        progress(Step("fleet", f"copying {request.path}"))
        with Workspace.copy_of(request.path) as workspace:
            started = await start(memory, request, workspace, began)
            async with started.presence(memory):
                return await _run(memory, started, workspace, progress)


async def _run(
    memory: Memory, started: Started, workspace: Workspace, progress: Progress
) -> Outcome:
    request, settings = started.request, started.request.settings
    ledger, lessons = Ledger(memory, request.project), Lessons(memory, request.project)
    agents = agents_for(request.agents)
    budget = Budget.of(request.budget, await ledger.expected_seconds(), started.began)
    diff = None if request.base is None else diff_of(workspace, request.base)
    environment = await environments.prepare(
        workspace,
        request.pyproject,
        request.python,
        lambda text: progress(Step("fleet", text)),
    )
    learned, remarks = await _lessons(lessons, ledger, agents, settings)
    wants_map = any(agent.wants_map for agent in agents) or orders(learned, settings)
    past = await ledger.past(wants_map=wants_map)
    examination = Examination(
        workspace,
        environment,
        settings,
        {},
        progress,
        replace(past, lessons=learned),
        diff,
        wants_map,
    )
    await started.note(memory)
    # An interpreter of this machine is not that of another one.
    at_home = request.python is not None
    dispatcher = Dispatcher(memory, started.journal(memory), started.began, at_home=at_home)
    try:
        examined = await examine(agents, examination, budget, dispatcher)
    finally:
        await dispatcher.close()
    findings = {agent.name: examined.findings[agent.name] for agent in agents}
    comparison, unkept = None, None
    try:
        comparison = await ledger.record(started.run, findings, examined.seconds)
        if learned:
            remarks += await lessons.add(started.run, findings)
        await started.journal(memory).end()
    except AqeError as error:
        # What was measured is still worth telling.
        unkept = error
    return Outcome(
        started.run,
        request.project,
        request.path,
        workspace.commit,
        started.at,
        environment,
        findings,
        comparison,
        request.shown_url,
        unkept,
        tuple(left_out(agents)),
        tuple(remarks),
    )


async def _lessons(
    lessons: Lessons, ledger: Ledger, agents: Sequence[Agent], settings: Settings
) -> tuple[dict[str, Any], list[str]]:
    """Return what was learned; nothing, and why, where it can't be read."""
    if not settings.learn:
        return {}, []
    try:
        names = [agent.name for agent in agents]
        return await lessons.past(names, await ledger.seconds()), []
    except LearningStateError as error:
        return {}, [f"nothing was decided by what was learned: {error}"]


def check(request: Request) -> None:
    """Raise InvalidArgumentError for an agent, a required metric or a rule that is unknown."""
    agents_for(request.agents)
    rules = parse_rules(request.settings.fail_on)
    check_metrics([*request.settings.required, *(rule.metric for rule in rules)])
