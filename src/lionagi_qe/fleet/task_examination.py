"""What a worker does with a task, whoever handed it over: its own copy, its own environment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import DivisibleAgent, Step
from lionagi_qe.agents.environment import target
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.settings import Settings, read_pyproject
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.commander import Carried, failed_by
from lionagi_qe.fleet.registry import agent_of
from lionagi_qe.fleet.source_extraction import unpack_tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.agents.base import Agent, Examination, Findings, Progress
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.fleet.run_traces import RunTraces
    from lionagi_qe.fleet.task import Task


class TaskExaminer:
    """Examines what tasks name, one after the other; to be closed in the end.

    Args:
        fetch: returns a content by the name that a task gives it.
        now: returns the time in ms by the clock that tasks' times are told by.
        progress: told what goes on.
        name: of the worker, under which it tells.
        traces: told which agents examine.
        isolate: run the projects' code isolated, also where a run does not ask for it,
            and without network and variables whatever it asks.
    """

    def __init__(  # noqa: PLR0913 - what differs between kinds of workers
        self,
        fetch: Callable[[str], Awaitable[bytes]],
        now: Callable[[], Awaitable[float]],
        progress: Progress,
        name: str,
        *,
        traces: RunTraces,
        isolate: bool = False,
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._progress = progress
        self._name = name
        self._traces = traces
        self._isolate = isolate
        self._copy: _Copy | None = None

    async def examine(self, task: Task) -> Carried:
        """Return what comes of a task; an agent that fails is told in its findings.

        Raises:
            AqeError: what the task ships is missing, damaged or refused, or the project's
                environment could not be prepared.

        """
        content = serialization.unpacked((await self._fetch(task.content)).decode())
        settings = Settings.of_data(content["settings"])
        network = settings.allow_network and not self._isolate
        # They would be this machine's.
        settings = settings.without_variables() if self._isolate else settings
        with isolated(wanted=self._isolate or settings.isolate, network=network):
            return await self._carry_out(task, content, settings)

    def close(self) -> None:
        """Remove the project's copy."""
        if self._copy is not None:
            self._copy.workspace.remove()
            self._copy = None

    async def _carry_out(self, task: Task, content: dict[str, Any], settings: Settings) -> Carried:
        copy = await self._copy_of(task, settings)
        agent = agent_of(task.agent)
        started = time.monotonic()
        with (
            copy.workspace.fork(task.name) as fork,
            self._traces.examining(agent, task.run) as found,
        ):
            environment = copy.environment.within(fork)
            examination = task.examination(
                content, fork, environment, self._progress, await self._now()
            )
            findings = await _findings(agent, examination)
            found(findings)
        return Carried(findings, time.monotonic() - started)

    async def _copy_of(self, task: Task, settings: Settings) -> _Copy:
        """Return the project's files and its environment; those of the last task if the same."""
        key = task.tree, settings.pass_env, settings.locked
        if self._copy is not None and self._copy.key == key:
            return self._copy
        self.close()
        content = await self._fetch(task.tree)

        def fill(pristine: Path) -> None:
            unpack_tree(content, pristine)

        # The user's tree is elsewhere; its name stands for it in messages.
        workspace = Workspace.filled(fill, task.folder, Path(task.folder), task.commit)
        try:
            environment = await target.prepare(
                workspace, read_pyproject(workspace.source), None, self._tell, settings
            )
        except BaseException:
            workspace.remove()
            raise
        self._copy = _Copy(key, workspace, environment)
        return self._copy

    def _tell(self, text: str) -> None:
        self._progress(Step(self._name, text))


@dataclass(frozen=True, slots=True)
class _Copy:
    """A project as it was shipped, and its tests' environment.

    Attributes:
        key: the name of the project's blob, and what else decides its environment.
        workspace: with its files.
        environment: of its tests.
    """

    key: tuple[str, tuple[str, ...], bool | None]
    workspace: Workspace
    environment: Environment


async def _findings(agent: Agent, examination: Examination) -> Findings:
    try:
        if isinstance(agent, DivisibleAgent) and examination.share.of > 1:
            return await agent.examine_share(examination)
        return await agent.examine(examination)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the reason for no figures
        return failed_by(error, agent, examination)
