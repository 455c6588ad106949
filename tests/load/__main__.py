"""Loads memories, and writes what came of it: ``make load``, ``make soak``.

    python -m tests.load --scenario sustained,backlog --backend redis [--out FOLDER]
    python -m tests.load --scenario soak --backend redis --minutes 30

Ends with 1 where something did not hold; what that is, the page in the folder tells.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.load import backlog
from tests.load.outcome import Outcome, outcome_of
from tests.load.page import Page
from tests.load.plan import BACKENDS, CHURN, EVERYTHING, SCENARIOS, Plan, phases_of
from tests.load.run import run_plan
from tests.load.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of those that last as long as asked: a minute by default. A churn has to show what stays of it in
# its second half: tombstones are kept for five minutes, and vacuums come after that.
_SECONDS, _CHURN_SECONDS = 60.0, 960.0
_ALL = (*SCENARIOS, "churn", "backlog")


async def load(plan: Plan) -> Outcome:
    """Run a plan on servers of its own."""
    async with SYSTEMS[plan.backend]() as system:
        with tempfile.TemporaryDirectory(prefix="aqe-load-") as folder:
            run = await run_plan(plan, system, Path(folder))
        return outcome_of(plan, run, system.versions)


async def fill_and_empty(backend: str, jobs: int) -> backlog.Backlog:
    """Measure a queue of many jobs on servers of its own."""
    async with SYSTEMS[backend]() as system:
        return await backlog.measure(backend, system, jobs, _tell)


def _tell(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def plan_of(scenario: str, backend: str, given: argparse.Namespace) -> Plan:
    """Return the plan that the command line asks for."""
    if scenario == "soak":
        seconds = given.minutes * 60
    else:
        seconds = given.seconds or (_CHURN_SECONDS if scenario == "churn" else _SECONDS)
    mix = CHURN if scenario == "churn" else EVERYTHING
    # Some two hundred samples of what is held, six at least.
    every = min(10.0, max(1.0, seconds / 200), seconds / 6)
    phases = phases_of(scenario, given.rate, seconds)
    return Plan(scenario, backend, given.agents, given.processes, phases, every, dict(mix))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--scenario", default=",".join(_ALL), help=f"of {', '.join(_ALL)}; or soak")
    parser.add_argument("--backend", default=",".join(BACKENDS), help=f"of {', '.join(BACKENDS)}")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rate", type=float, default=500, help="calls a second of all agents")
    parser.add_argument("--seconds", type=float, default=0, help="how long each scenario lasts")
    parser.add_argument("--minutes", type=float, default=30, help="how long a soak lasts")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="how many wait in a backlog")
    parser.add_argument("--out", type=Path, default=Path("build/load"))
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Do what is asked for; return 1 if something did not hold."""
    given = arguments(words)
    failed = False
    for scenario in given.scenario.split(","):
        page = Page("soak" if scenario == "soak" else "load", given.out)
        for backend in given.backend.split(","):
            _tell(f"{backend}: {scenario}")
            if scenario == "backlog":
                outcome = asyncio.run(fill_and_empty(backend, given.jobs))
            else:
                outcome = asyncio.run(load(plan_of(scenario, backend, given)))
            page.add(outcome)
            failed |= outcome.failed
            for verdict in outcome.verdicts:
                if not verdict.passed:
                    _tell(f"  {verdict.what}: {verdict.found:.4g}, at most {verdict.most:.4g}")
            for complaint in outcome.complaints:
                _tell(complaint)
        _tell(f"written: {page.folder / page.name}.md")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
