"""A task for a worker: one examination, or a share of it, as plain data."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Examination, Share
from lionagi_qe.agents.project.settings import Settings

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Agent, Progress
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to examine.

    Attributes:
        run: the run's id.
        project: the name under which the run is kept.
        agent: who examines.
        tree: the blob with the project's files.
        files: a hash of the project's files, which the result is about.
        folder: the name of the project's directory.
        commit: of the project.
        content: the blob with the rest of the examination; see ``content_of``.
        until_ms: by the server's clock, when it has to be done; None for no limit.
        began_ms: by the server's clock, when the run began, less what it had spent before.
        share: part and number of parts.
    """

    run: str
    project: str
    agent: str
    tree: str
    files: str
    folder: str
    commit: str | None
    content: str
    until_ms: float | None
    began_ms: float
    share: tuple[int, int] = (0, 1)

    @property
    def name(self) -> str:
        """What it is called within its run."""
        return task_name(self.agent, Share(*self.share))

    def as_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self) | {"share": list(self.share)}

    @classmethod
    def of_payload(cls, payload: dict[str, Any]) -> Task:
        """Return what ``as_payload`` was called on."""
        part, of = payload["share"]
        fields: dict[str, Any] = payload | {"share": (part, of)}
        return cls(**fields)

    def examination(
        self,
        content: dict[str, Any],
        workspace: Workspace,
        environment: Environment,
        progress: Progress,
        now_ms: float,
    ) -> Examination:
        """Return the examination on a worker's own copy, in its own environment."""
        left = None if self.until_ms is None else (self.until_ms - now_ms) / 1000
        return Examination(
            workspace,
            environment,
            Settings.of_data(content["settings"]),
            content["findings"],
            progress,
            content["history"],
            content["diff"],
            content["wants_map"],
            None if left is None else time.monotonic() + left,
            Share(*self.share),
        )


def task_name(agent: str, share: Share) -> str:
    """Return the name of a task within its run."""
    return agent if share.of == 1 else f"{agent}.{share.part + 1}of{share.of}"


def content_of(agent: Agent, examination: Examination) -> dict[str, Any]:
    """Return what an agent is told beside the project's files."""
    return {
        "settings": examination.settings.as_data(),
        "findings": {
            name: found for name, found in examination.findings.items() if name in agent.after
        },
        # What takes much room is for agents that stay at home.
        "history": replace(examination.history, durations={}, benchmarks={}),
        "diff": examination.diff,
        "wants_map": examination.wants_map,
    }
