"""What OpenTelemetry is told of runs and of their agents.

There are no conventions for either: names and attributes are ours, without paths and projects.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from lionagi_qe.agents.base import Agent, Findings
    from lionagi_qe.persistence import Memory
    from lionagi_qe.telemetry import Telemetry
    from lionagi_qe.telemetry.recorder import Recorded, Recorder

_NOTHING: AbstractContextManager[None] = nullcontext()


class RunTraces:
    """The spans and metrics of runs; nothing at all if nobody is told.

    Args:
        telemetry: who is told.
    """

    def __init__(self, telemetry: Telemetry | None) -> None:
        self._telemetry = telemetry

    @classmethod
    def of(cls, memory: Memory) -> RunTraces:
        """Return those for whom the memory tells."""
        return cls(parts_of(memory).telemetry)

    @property
    def _recorder(self) -> Recorder | None:
        return None if self._telemetry is None else self._telemetry.recorder

    def running(self) -> AbstractContextManager[Recorded | None]:
        """Tell that a run is carried out within the block."""
        recorder = self._recorder
        return (
            _NOTHING
            if recorder is None
            else recorder.span("aqe run", {}, duration=recorder.run_duration)
        )

    @staticmethod
    def started(told: Recorded | None, run: str) -> None:
        """Tell the id of the run."""
        if told is not None:
            told.span.set_attribute(names.RUN, run)

    @contextmanager
    def examining(self, agent: Agent, run: str) -> Generator[Callable[[Findings], None]]:
        """Tell that an agent examines within the block; gives what is to be told its findings."""
        recorder = self._recorder
        if recorder is None:
            yield _let_go
            return
        labels = {names.AGENT: recorder.label(agent.name)}
        with recorder.span(
            f"examine {labels[names.AGENT]}",
            {names.AGENT: agent.name, names.RUN: run},
            duration=recorder.agent_duration,
            labels=labels,
        ) as told:

            def found(findings: Findings) -> None:
                measured = any(metric.measured for metric in findings.metrics)
                told.span.set_attribute(names.AGENT_MEASURED, measured)

            yield found


def _let_go(findings: Findings) -> None:
    """Tell nobody."""
    del findings
