"""What an agent is: something that examines a workspace and returns findings."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.history import History

if TYPE_CHECKING:
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.metric import Metric, Source
    from lionagi_qe.agents.project.diff import Diff
    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.agents.project.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Step:
    """A sign of progress; ``done`` and ``total`` count tests, files, ... where that is known."""

    agent: str
    text: str
    done: int | None = None
    total: int | None = None


Progress = Callable[[Step], None]
# What a tool still gets when the time is up, so that it fails by itself and says so.
LEAST_SECONDS = 0.1


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
class Share:
    """Part number ``part``, from 0, of an examination in ``of`` parts; all of it by default."""

    part: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Examination:
    """What an agent works on and with.

    Attributes:
        workspace: the copy of the project.
        environment: the interpreter that the project's code runs in.
        settings: limits and gate of this run.
        findings: of the agents that ran before, by name.
        progress: to be told what goes on.
        history: what earlier runs left.
        diff: what changed since the commit that the user named, if any.
        wants_map: an agent of this run asks which test runs which line.
        deadline: by ``time.monotonic``, when the agent has to be done; None for no limit.
        share: which part of it, where several workers divide it among themselves.
    """

    workspace: Workspace
    environment: Environment
    settings: Settings
    findings: Mapping[str, Findings]
    progress: Progress
    history: History = field(default_factory=History)
    diff: Diff | None = None
    wants_map: bool = False
    deadline: float | None = None
    share: Share = field(default_factory=Share)

    def within(self, fork: Workspace) -> Examination:
        """Return the same examination of a copy of its workspace."""
        return replace(self, workspace=fork, environment=self.environment.within(fork))

    def seconds(self, most: float) -> float:
        """Return how long something may take: ``most``, or until the deadline if that is less."""
        return min(most, self.left(most))

    def left(self, usual: float) -> float:
        """Return how long is left until the deadline; ``usual`` if there is none."""
        if self.deadline is None:
            return usual
        return max(self.deadline - time.monotonic(), LEAST_SECONDS)


class Agent(ABC):
    """One kind of examination.

    Class attributes:
        name: as in the keys of its metrics.
        after: agents whose findings it reads; it runs even when they failed.
        needs: those of ``after`` without whose findings it has nothing to examine.
        elastic: it uses whatever time it is given, so nothing runs beside it.
        wants_map: it asks which test runs which line, which makes the test run slower.
        wants_durations: it asks how long tests and benchmarks took in earlier runs.
        instant: it judges by others' findings alone, and runs even when the time is up.
        at_home: it reads what only the user's machine has, so no other worker can take it.
        metrics: name -> unit of every figure that it states, measured or not.
    """

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    elastic: ClassVar[bool] = False
    instant: ClassVar[bool] = False
    at_home: ClassVar[bool] = False
    wants_map: ClassVar[bool] = False
    wants_durations: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, str]]

    def unmeasured(self, source: Source, reason: str) -> Findings:
        """Return that none of the figures could be measured, and why."""
        return Findings(
            self.name,
            tuple(source.unmeasured(name, unit, reason) for name, unit in self.metrics.items()),
        )

    def stays_home(self, examination: Examination) -> bool:
        """Whether this examination can't be another worker's; see ``at_home``."""
        del examination
        return self.at_home

    @abstractmethod
    async def examine(self, examination: Examination) -> Findings:
        """Measure; state each of ``metrics``, with a reason for what could not be measured."""


class DivisibleAgent(Agent):
    """An agent whose examination several workers can divide among themselves.

    What a share found is plain data in its ``details``, from which ``merge`` makes the figures;
    an undivided examination is one share of one.
    """

    async def examine(self, examination: Examination) -> Findings:
        """Examine it all."""
        return self.merge(examination, [await self.examine_share(examination)])

    @abstractmethod
    async def examine_share(self, examination: Examination) -> Findings:
        """Examine ``examination.share``; the figures are those of ``merge``'s to state."""

    @abstractmethod
    def merge(self, examination: Examination, shares: Sequence[Findings]) -> Findings:
        """Return the findings of the whole from those of its shares, in any order."""
