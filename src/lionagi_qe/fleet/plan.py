"""Which agent goes next, and how long it may take: the cheapest evidence first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.agents.base import Agent

# Less than this is not worth starting an agent that uses whatever time it gets.
LEAST_SECONDS = 2.0
DEFAULT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """An agent to start now.

    Attributes:
        agent: which one.
        deadline: by ``time.monotonic``; None for no limit.
        refusal: why it is not worth starting, if so.
    """

    agent: Agent
    deadline: float | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of one run.

    Attributes:
        seconds: in all; None for no limit.
        until: by ``time.monotonic``.
        expected: agent -> seconds it took in past runs, where there were any.
    """

    seconds: float | None
    until: float
    expected: Mapping[str, float]

    @classmethod
    def of(cls, seconds: float | None, expected: Mapping[str, float], started: float) -> Budget:
        """Return the budget of a run that started at ``started``."""
        return cls(seconds, started + (seconds or 0.0), expected)

    def next_starts(
        self, ready: Iterable[Agent], running: Sequence[Agent], waiting: Sequence[Agent]
    ) -> list[Start]:
        """Return which of the ready agents to start beside the running ones.

        Agents that take what they need start at once, the cheapest first. Those that use what they
        are given go one by one, when nothing else runs, and share what is left of the time.

        Args:
            ready: agents whose findings to read are there.
            running: agents at work.
            waiting: agents still to start, the ready ones among them.

        """
        ordered = sorted(ready, key=self._cost)
        rigid = [self._rigid(agent) for agent in ordered if not agent.elastic]
        if rigid or running:
            return rigid
        sharing = sum(agent.elastic for agent in waiting)
        return [self._elastic(agent, sharing) for agent in ordered[:1]]

    def _cost(self, agent: Agent) -> tuple[float, str]:
        return self.expected.get(agent.name, DEFAULT_SECONDS), agent.name

    def _rigid(self, agent: Agent) -> Start:
        if self.seconds is None or agent.instant:
            return Start(agent)
        left = self.until - time.monotonic()
        expected = self.expected.get(agent.name)
        if left <= 0:
            return Start(agent, refusal=self._used_up())
        if expected is not None and expected > left:
            return Start(
                agent,
                refusal=f"takes about {expected:.0f} s by past runs, and {left:.0f} s of the "
                f"budget of {self.seconds:g} s were left",
            )
        return Start(agent, self.until)

    def _elastic(self, agent: Agent, sharing: int) -> Start:
        now = time.monotonic()
        if self.seconds is None:
            return Start(agent, now + DEFAULT_SECONDS)
        share = (self.until - now) / sharing
        if share < LEAST_SECONDS:
            return Start(agent, refusal=self._used_up())
        return Start(agent, now + share)

    def _used_up(self) -> str:
        return f"the budget of {self.seconds:g} s was used up before"
