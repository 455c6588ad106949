"""One run of the fleet over one project, from the copy to what it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents import environment as environments
from lionagi_qe.agents.base import Step
from lionagi_qe.agents.workspace import Workspace
from lionagi_qe.errors import AqeError
from lionagi_qe.fleet.commander import check_required, default_agents, examine
from lionagi_qe.fleet.ledger import Ledger, new_run_id
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Findings, Progress
    from lionagi_qe.agents.environment import Environment
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.settings import Settings
    from lionagi_qe.fleet.comparison import Comparison


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
            *(note for findings in self.findings.values() for note in findings.notes),
        ]


async def run(  # noqa: PLR0913 - what one run is asked for
    path: Path,
    *,
    project: str,
    pyproject: dict[str, Any],
    settings: Settings,
    python: Path | None,
    memory_url: str,
    shown_url: str,
    progress: Progress,
) -> Outcome:
    """Examine the project at ``path`` and remember the results; its tree is only read."""
    at = datetime.now(UTC)
    agents = default_agents()
    check_required(settings.required, agents)
    # The memory first: without it nothing that follows would be kept.
    async with open_memory(memory_url) as memory:
        progress(Step("fleet", f"copying {path}"))
        with Workspace.copy_of(path) as workspace:
            environment = await environments.prepare(
                workspace, pyproject, python, lambda text: progress(Step("fleet", text))
            )
            findings = await examine(agents, workspace, environment, settings, progress)
            run_id = new_run_id()
            comparison, unkept = None, None
            try:
                comparison = await Ledger(memory, project).record(run_id, findings)
            except AqeError as error:
                # What was measured is still worth telling.
                unkept = error
            return Outcome(
                run_id,
                project,
                path,
                workspace.commit,
                at,
                environment,
                findings,
                comparison,
                shown_url,
                unkept,
            )
