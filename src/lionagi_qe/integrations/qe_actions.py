"""The QE agents as actions of a model: each measures, and tells what was measured."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lionagi_qe.agents.llm.action import Action, Arguments, failure
from lionagi_qe.fleet.key_segments import project_segment, segment
from lionagi_qe.fleet.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.base import Progress, Step
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome

DEFAULT_SECONDS: Final = 120.0
_LEAST_SECONDS: Final = 5.0
_MOST: Final = 50
_LONGEST: Final = 600


class Measure(Arguments):
    """Arguments of what measures: none."""


def qe_actions(
    request: Request, *, until: float, progress: Progress | None = None
) -> list[Action[Any]]:
    """Return the actions that run QE agents over one project, on a copy, and keep the figures.

    Each measures anew, which takes what the tests take; what was measured before, the fleet_*
    actions tell. They take turns when a model asks for several at once.

    Args:
        request: the project, its environment and its memory; ``agents`` is filled in.
        until: by ``time.monotonic``, when no further measurement is begun or goes on.
        progress: to be told what goes on.

    """
    bench = _Bench(request, until, progress or _silent)
    return [
        Action(
            "qe_run_tests",
            "Run the project's tests on a copy: how they ended, and line and branch coverage.",
            Measure,
            bench.tests,
            writes=True,
        ),
        Action(
            "qe_coverage_gaps",
            "Run the tests and return the functions with lines that no test runs.",
            Measure,
            bench.gaps,
            writes=True,
        ),
        Action(
            "qe_hunt_flaky",
            "Run the tests again and again, in other orders: which end now so, now so.",
            Measure,
            bench.flaky,
            writes=True,
        ),
        Action(
            "qe_mutants",
            "Change the code a little, again and again: which changes no test notices.",
            Measure,
            bench.mutants,
            writes=True,
        ),
    ]


class _Bench:
    def __init__(self, request: Request, until: float, progress: Progress) -> None:
        self._request = request
        self._until = until
        self._progress = progress
        self._turn = asyncio.Lock()

    async def tests(self, _: Measure) -> dict[str, Any]:
        outcome = await self._measure(["test-executor", "coverage-analyzer"])
        if isinstance(outcome, dict):
            return outcome
        bad = [
            {"test": test["id"], "outcome": test["outcome"], "message": test["message"][-_LONGEST:]}
            for test in outcome.detail("test-executor", "tests")
            if test["outcome"] in {"failed", "error", "interrupted"}
        ]
        return self._told(outcome) | {"failing": bad[:_MOST]}

    async def gaps(self, _: Measure) -> dict[str, Any]:
        outcome = await self._measure(["test-executor", "coverage-analyzer"])
        if isinstance(outcome, dict):
            return outcome
        return self._told(outcome) | {"gaps": outcome.detail("coverage-analyzer", "gaps")[:_MOST]}

    async def flaky(self, _: Measure) -> dict[str, Any]:
        outcome = await self._measure(["flaky-test-hunter"])
        if isinstance(outcome, dict):
            return outcome
        return self._told(outcome) | {"flaky": outcome.detail("flaky-test-hunter", "flaky")[:_MOST]}

    async def mutants(self, _: Measure) -> dict[str, Any]:
        outcome = await self._measure(["mutation-tester"])
        if isinstance(outcome, dict):
            return outcome
        survivors = outcome.detail("mutation-tester", "survivors")[:_MOST]
        return self._told(outcome) | {"survivors": survivors}

    async def _measure(self, agents: Sequence[str]) -> Outcome | dict[str, Any]:
        async with self._turn:
            left = self._until - time.monotonic()
            if left < _LEAST_SECONDS:
                return failure("NoTime", "there is no time left to measure; answer from what is")
            request = replace(self._request, agents=agents, budget=left)
            return await run(request, self._progress)

    def _told(self, outcome: Outcome) -> dict[str, Any]:
        """Return the figures with their sources; lists are counted."""
        prefix = f"aqe/runs/{project_segment(outcome.project)}/{outcome.run}"
        return {
            "run": outcome.run,
            "kept": outcome.unkept is None,
            "metrics": [
                {
                    "source": f"{prefix}/{findings.agent}/{segment(metric.name)}",
                    "name": metric.name,
                    "value": len(metric.value) if isinstance(metric.value, list) else metric.value,
                    "unit": metric.unit,
                    "measured": metric.measured,
                    "reason": metric.reason,
                }
                for findings in outcome.findings.values()
                for metric in findings.metrics
            ],
        }


def _silent(step: Step) -> None:
    del step
