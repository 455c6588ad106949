"""What an agent is: something that examines a workspace and returns findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from lionagi_qe.agents.environment import Environment
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.settings import Settings
    from lionagi_qe.agents.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Step:
    """A sign of progress; ``done`` and ``total`` count tests, files, ... where that is known."""

    agent: str
    text: str
    done: int | None = None
    total: int | None = None


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one agent found.

    Attributes:
        agent: its name.
        metrics: its figures, measured or not.
        details: JSON data for the agents after it and for the reports (tests, gaps, ...).
        notes: what a reader of the figures should know, a sentence each.
    """

    agent: str
    metrics: tuple[Metric, ...]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Return the metric of that name, if the agent states it."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True, slots=True)
class Examination:
    """What an agent works on and with.

    Attributes:
        workspace: the copy of the project.
        environment: the interpreter that the project's code runs in.
        settings: limits and gate of this run.
        findings: of the agents that ran before, by name.
        progress: to be told what goes on.
    """

    workspace: Workspace
    environment: Environment
    settings: Settings
    findings: Mapping[str, Findings]
    progress: Progress


class Agent(ABC):
    """One kind of examination.

    Class attributes:
        name: as in the keys of its metrics.
        after: agents whose findings it reads; it runs even when they failed.
        metrics: name -> unit of every figure that it states, measured or not.
    """

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Mapping[str, str]]

    @abstractmethod
    async def examine(self, examination: Examination) -> Findings:
        """Measure; state each of ``metrics``, with a reason for what could not be measured."""
