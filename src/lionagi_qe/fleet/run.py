"""One run of the fleet over one project, from the copy to what it remembers."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Examination, Step
from lionagi_qe.agents.environment import target
from lionagi_qe.agents.gate.rules import parse_rules
from lionagi_qe.agents.project.diff import commit_named, diff_of
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import AqeError
from lionagi_qe.fleet.benchmark_history import BenchmarkHistory
from lionagi_qe.fleet.commander import DEFECT, run_agents
from lionagi_qe.fleet.examined_source import source_names
from lionagi_qe.fleet.executors import open_executor
from lionagi_qe.fleet.failure_history import FailureHistory
from lionagi_qe.fleet.learned_state import LearnedState
from lionagi_qe.fleet.learned_state import wants_map as orders
from lionagi_qe.fleet.plan import Budget
from lionagi_qe.fleet.registry import QUICK, agents_for, check_distinct, check_metrics, left_out
from lionagi_qe.fleet.request import request_for, with_readable_lists
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import HasFindings, RunRecord, RunRecords, shown_findings
from lionagi_qe.fleet.run_traces import RunTraces
from lionagi_qe.fleet.start import start
from lionagi_qe.fleet.task_distribution import Dispatcher
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.persistence import Memory, open_memory
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from lionagi_qe.agents.base import Agent, Findings, Progress
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.fleet.comparison import Comparison
    from lionagi_qe.fleet.executors import Executor
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.start import Started


@dataclass(frozen=True, slots=True)
class Outcome(HasFindings):
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
        sources: file -> the name that git gives its content, for those that findings are about.
        shard: which part of a run it is, as 2/5; nothing of it is kept.
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
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    shard: str | None = None

    @property
    def defects(self) -> dict[str, str]:
        """Agent -> the trace of a defect of ours, by which it ended."""
        return {
            name: findings.details[DEFECT]
            for name, findings in self.findings.items()
            if DEFECT in findings.details
        }

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know."""
        return [
            *self.environment.notes,
            *self.remarks,
            *(note for findings in self.findings.values() for note in findings.notes),
        ]

    def as_record(self) -> RunRecord:
        """Return what is kept of it."""
        return RunRecord(
            self.run,
            self.project,
            str(self.path),
            self.commit,
            self.at.isoformat(timespec="seconds"),
            self.environment.version,
            self.environment.origin,
            self.environment.layout.scope,
            self.environment.scope_origin,
            shown_findings(self.findings),
            self.comparison,
            self.left_out,
            self.notes,
            self.sources,
        )


async def examine(  # noqa: PLR0913 - keyword-only settings with defaults
    path: str | os.PathLike[str] = ".",
    *,
    agents: Sequence[str | Agent] = QUICK,
    memory: str | Memory | None = None,
    fleet: str = DEFAULT_FLEET,
    python: str | os.PathLike[str] | None = None,
    budget: float | None = None,
    base: str | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    allow_unsigned: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Examine the project in a directory, on a copy, and remember the results.

    What ``aqe run`` does. Costs what the project's tests cost, and for the first run the making of
    an environment.

    Args:
        path: the project's directory; it is only read.
        agents: names (see ``fleet.agent_names``) or agents of one's own; those that they need
            come along. By default those that take about as long as the tests themselves.
        memory: where results are kept: a URL, or an open memory, which stays open; by default
            ``$LIONAGI_QE_MEMORY``, else a file in the user's state directory.
        fleet: whose part of the memory that is, for a URL.
        python: the project's own interpreter, used and left as it is; by default a cached
            environment is built from the project's test requirements.
        budget: most seconds in all; None for no limit.
        base: a commit, branch or tag to compare with.
        settings: options of ``[tool.aqe]`` by name, with underscores; they go before the
            project's.
        resume: go on with the project's last run that did not end, with its own options.
        allow_unsigned: believe results of workers that nobody signed, where
            ``LIONAGI_QE_SIGNING_KEYS`` has keys.
        progress: called with each ``Step``.

    Raises:
        ProjectError: the path, the project's settings or those given are not valid, or the base
            can't be compared with.
        InvalidArgumentError: an agent, a required metric or a rule is unknown.
        EnvironmentBuildError: the project's environment could not be prepared.
        BackendUnavailableError: the memory can't be reached.
        IsolationError: the project's code is to be isolated, and this machine can't.

    """
    request = request_for(
        path,
        agents=agents,
        memory=memory,
        fleet=fleet,
        python=python,
        budget=budget,
        base=base,
        settings=settings,
        resume=resume,
        allow_unsigned=allow_unsigned,
    )
    return await run(with_readable_lists(request), progress or _silent)


def _silent(step: Step) -> None:
    """Let progress go."""


async def run(request: Request, progress: Progress) -> Outcome:
    """Examine a project and remember the results; its tree is only read.

    Raises:
        ProjectError: the base can't be compared with.
        InvalidArgumentError: an agent, a required metric or a rule is unknown.
        EnvironmentBuildError: the project's environment could not be prepared.
        BackendUnavailableError: the memory can't be reached.
        IsolationError: the project's code is to be isolated, and this machine can't.

    """
    began = time.monotonic()
    check(request)
    settings = request.settings
    # The memory first: without it nothing that follows would be kept.
    async with opened(request) as memory:
        with isolated(wanted=settings.isolate, network=settings.allow_network):
            return await _examined(memory, request, progress, began)


async def _examined(memory: Memory, request: Request, progress: Progress, began: float) -> Outcome:
    """Examine the project from its copy to what is kept of it; see ``run``."""
    if request.base is not None and not request.resume:
        # Known at once, and not only when all has been copied.
        await asyncio.to_thread(commit_named, request.path, request.base)
    progress(Step("fleet", f"copying {request.path}"))
    with RunTraces.of(memory).running() as told, Workspace.copy_of(request.path) as workspace:
        started = await start(memory, request, workspace, began)
        RunTraces.started(told, started.run)
        checkpoint = started.checkpoint(memory)
        async with (
            started.presence(memory),
            open_executor(memory, started.request, checkpoint) as executor,
        ):
            return await _run(memory, started, workspace, executor, progress)


@asynccontextmanager
async def opened(request: Request) -> AsyncGenerator[Memory]:
    """Yield the memory that a run is kept in."""
    if isinstance(request.memory, Memory):
        yield request.memory
    else:
        async with open_memory(request.memory, fleet=request.fleet) as memory:
            yield memory


async def environment_of(request: Request, workspace: Workspace, progress: Progress) -> Environment:
    """Return the environment for the tests of a copy of the project; see ``target.prepare``."""
    return await target.prepare(
        workspace,
        request.pyproject,
        request.python,
        lambda text: progress(Step("fleet", text)),
        request.settings,
    )


async def _run(
    memory: Memory,
    started: Started,
    workspace: Workspace,
    executor: Executor,
    progress: Progress,
) -> Outcome:
    request, settings = started.request, started.request.settings
    checkpoint = started.checkpoint(memory)
    runs = RunHistory(memory, request.project)
    policies = LearnedState(memory, request.project)
    agents = agents_for(request.agents, request.stand_in)
    budget = Budget.of(request.budget, await runs.expected_seconds(), started.began)
    diff = None if request.base is None else diff_of(workspace, request.base)
    environment = await environment_of(request, workspace, progress)
    seconds = await runs.seconds() if settings.learn else {}
    learned, remarks = await _learned(policies, seconds, agents, settings)
    wants_map = any(agent.wants_map for agent in agents) or orders(learned, settings)
    history = await runs.history(wants_map=wants_map)
    if any(agent.wants_durations for agent in agents):
        benchmarks = await BenchmarkHistory(memory, request.project).records()
        history = replace(history, durations=await runs.records(), benchmarks=benchmarks)
    examination = Examination(
        workspace,
        environment,
        settings,
        {},
        progress,
        replace(history, learned=learned, slowest=max(seconds.values(), default=None)),
        diff,
        wants_map,
    )
    await started.note(memory)
    dispatcher = Dispatcher(executor, checkpoint, started.began, RunTraces.of(memory))
    try:
        examined = await run_agents(agents, examination, budget, dispatcher)
    finally:
        await dispatcher.close()
        await executor.close()
    remarks += [*dispatcher.notes, *executor.notes]
    findings = {agent.name: examined.findings[agent.name] for agent in agents}
    outcome = Outcome(
        started.run,
        request.project,
        request.path,
        workspace.commit,
        started.at,
        environment,
        findings,
        None,
        request.shown_url,
        None,
        tuple(left_out(agents)),
        sources=source_names(workspace.pristine, findings),
    )
    try:
        failures = FailureHistory(memory, request.project, workspace.project)
        findings = await failures.with_past(started.run, workspace.commit, findings)
        outcome = replace(outcome, findings=findings)
        comparison = await runs.record(started.run, findings, examined.seconds)
        await BenchmarkHistory(memory, request.project).add(started.run, findings)
        if learned:
            remarks += await policies.add(started.run, findings)
        outcome = replace(outcome, comparison=comparison, remarks=tuple(remarks))
        await RunRecords(memory, request.project).keep(outcome.as_record())
        await checkpoint.end()
    except AqeError as error:
        # What was measured is still worth telling.
        outcome = replace(outcome, remarks=tuple(remarks), unkept=error)
    return outcome


async def _learned(
    policies: LearnedState,
    seconds: Mapping[str, float],
    agents: Sequence[Agent],
    settings: Settings,
) -> tuple[dict[str, Any], list[str]]:
    """Return what was learned; nothing, and why, where it can't be read."""
    if not settings.learn:
        return {}, []
    try:
        names = [agent.name for agent in agents]
        return await policies.of_agents(names, seconds), []
    except LearningStateError as error:
        return {}, [f"nothing was decided by what was learned: {error}"]


def check(request: Request) -> None:
    """Raise InvalidArgumentError for what is unknown or ambiguous: agents, metrics, rules."""
    agents = agents_for(request.agents, request.stand_in)
    check_distinct(agents)
    rules = parse_rules(request.settings.fail_on)
    check_metrics([*request.settings.required, *(rule.metric for rule in rules)], agents)
