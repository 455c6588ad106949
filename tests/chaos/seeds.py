"""Runs seeds of faults on real servers, and judges what clients recorded meanwhile.

    python -m tests.chaos.seeds --backend redis --seeds 1-20 [--seconds 6] [--out FOLDER]
    python -m tests.chaos.seeds --backend redis --plan FOLDER/redis-7/plan.json
    python -m tests.chaos.seeds --judge FOLDER/redis-7

A seed that fails leaves its plan, its history and its judgement in a folder of the output. Results
are added to ``results.jsonl`` there, of which ``python -m tests.chaos.page`` makes a page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import small_disk
from tests.chaos.fault_plan import BACKENDS, DISK_FULL, Plan
from tests.chaos.run import Run, judge_folder
from tests.chaos.systems import SYSTEMS

if TYPE_CHECKING:
    from tests.chaos.systems import System

    from lionagi_qe.testing.history import Judgement

SECONDS = 6.0
_SHOWN = 12


@dataclass
class Result:
    """What came of one seed; JSON data."""

    backend: str
    seed: int
    seconds: float
    date: str
    versions: str
    took: float
    calls: dict[str, int]
    faults: dict[str, int]
    keys: int
    undecided: int
    violations: dict[str, int]
    complaints: list[str] = field(default_factory=list[str])
    commit: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.violations or self.complaints)


async def run_plan(plan: Plan, system: System, out: Path) -> tuple[Result, Judgement]:
    """Run a plan and judge it; its folder is kept only if it failed."""
    folder = out / f"{plan.backend}-{plan.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(plan.as_json())
    began = time.monotonic()
    run = Run(plan, system, folder)
    await run()
    judgement = await asyncio.to_thread(run.judge)
    result = Result(
        plan.backend,
        plan.seed,
        plan.seconds,
        datetime.now(UTC).date().isoformat(),
        system.versions,
        round(time.monotonic() - began, 1),
        dict(judgement.outcomes),
        dict(Counter(fault.kind for fault in plan.faults)),
        judgement.keys,
        judgement.undecided,
        dict(Counter(str(violation.kind) for violation in judgement.violations)),
        run.complaints,
        _commit(),
    )
    if result.failed:
        found = [*run.complaints, *map(str, judgement.violations)]
        (folder / "judgement.txt").write_text("\n".join(found) + "\n")
    else:
        shutil.rmtree(folder)
    return result, judgement


@cache
def _commit() -> str:
    """Return the commit of these files; empty where git does not know them."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.strip()


async def run_seeds(backend: str, plans: list[Plan], out: Path) -> list[Result]:
    """Run plans one after the other, on servers that are started anew after a failure.

    Where nothing may be mounted no disk is filled, which is said.
    """
    if not small_disk.may_mount() and any(each.has(DISK_FULL) for each in plans):
        print(f"{backend}: no disk is filled, as only root may mount a small one", flush=True)
        plans = [each.without(DISK_FULL) for each in plans]
    results: list[Result] = []
    stack = AsyncExitStack()
    system: System | None = None
    try:
        for at, plan in enumerate(plans, 1):
            if system is None:
                system = await stack.enter_async_context(SYSTEMS[backend]())
            result, judgement = await run_plan(plan, system, out)
            results.append(result)
            with (out / "results.jsonl").open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            print(f"{at}/{len(plans)} {_line(result)}", flush=True)
            if result.failed:
                _complain(result, judgement, plan, out)
                await stack.aclose()
                stack, system = AsyncExitStack(), None
    finally:
        await stack.aclose()
    return results


def _line(result: Result) -> str:
    calls = ", ".join(f"{number} {outcome}" for outcome, number in sorted(result.calls.items()))
    undecided = f", {result.undecided} undecided" if result.undecided else ""
    return (
        f"{result.backend} seed {result.seed}: {'FAILED' if result.failed else 'ok'}, {calls}, "
        f"{result.keys} keys{undecided}, {result.took} s"
    )


def _complain(result: Result, judgement: Judgement, plan: Plan, out: Path) -> None:
    found = [*result.complaints, *map(str, judgement.violations)]
    print(plan, *found[:_SHOWN], sep="\n")
    if len(found) > _SHOWN:
        print(f"and {len(found) - _SHOWN} more")
    folder = out / f"{plan.backend}-{plan.seed}"
    print(f"the history: {folder}; to judge it again: make chaos JUDGE={folder}")
    print(f"to run it again: make chaos BACKEND={plan.backend} SEEDS={plan.seed}", flush=True)


def _summary(results: list[Result]) -> None:
    print("\nbackend           seeds  failed    calls  unknown  refused  faults  undecided keys")
    for backend in dict.fromkeys(result.backend for result in results):
        own = [result for result in results if result.backend == backend]
        calls = Counter[str]()
        for result in own:
            calls.update(result.calls)
        print(
            f"{backend:<16} {len(own):>6} {sum(each.failed for each in own):>7} "
            f"{calls.total():>8} {calls['info']:>8} {calls['fail']:>8} "
            f"{sum(sum(each.faults.values()) for each in own):>7} "
            f"{sum(each.undecided for each in own):>10}"
        )


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--backend", default="all", help=f"one of {', '.join(BACKENDS)}, or all")
    parser.add_argument("--seeds", default="1-5", help="as 1-20 or 3,7")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each loads")
    parser.add_argument("--out", type=Path, default=Path("build/chaos"))
    parser.add_argument("--plan", type=Path, help="run this plan instead")
    parser.add_argument("--judge", type=Path, help="judge the history in this folder again")
    parser.add_argument("--show", action="store_true", help="print the plans, and run nothing")
    given = parser.parse_args(arguments)
    if given.judge is not None:
        plan = Plan.from_json((given.judge / "plan.json").read_text())
        found = judge_folder(given.judge, 1.0 if plan.backend == "hybrid" else 0.0)
        print(plan, *found.violations, sep="\n")
        return bool(found.violations)
    names = list(BACKENDS) if given.backend == "all" else given.backend.split(",")
    plans = {
        name: [Plan.draw(seed, name, given.seconds) for seed in _seeds(given.seeds)]
        for name in names
    }
    if given.plan is not None:
        plan = Plan.from_json(given.plan.read_text())
        plans = {plan.backend: [plan]}
    if given.show:
        print(*(plan for some in plans.values() for plan in some), sep="\n\n")
        return 0
    small_disk.enter_namespace()
    given.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for name, some in plans.items():
        results += asyncio.run(run_seeds(name, some, given.out))
    _summary(results)
    return any(result.failed for result in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
