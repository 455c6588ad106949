"""What the fleet costs on top of ``coverage run -m pytest`` by hand, warm, side by side."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import AQE, STOREFRONT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROUNDS = 3
ROUNDS_FULL = 11
# What is aimed at: a share of the time by hand, and seconds.
SHARE, SECONDS = 0.10, 1.0


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of the processors."""

    clock: float
    busy: float


def timed(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[Taken, str]:
    began, before = time.monotonic(), _busy()
    done = subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True)
    return Taken(time.monotonic() - began, _busy() - before), done.stdout


def _busy() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_warm_run_beside_the_plain_tools(tmp_path: Path, *, full: bool) -> None:
    project = shutil.copytree(STOREFRONT, tmp_path / "storefront")
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    # As installed, compiled modules are kept.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= own
    fleet = [str(AQE), "run", str(project), "--agents", "test-executor,coverage-analyzer"]
    timed([*fleet, "--quiet"], tmp_path, env)
    (python,) = (tmp_path / "cache" / "aqe" / "environments").glob("*/bin/python")
    plain = [str(python), "-m", "coverage", "run", "--branch", "--source=src", "-m", "pytest", "-q"]
    by_hand: list[Taken] = []
    by_fleet: list[Taken] = []
    document: dict[str, Any] = {}
    for _ in range(ROUNDS_FULL if full else ROUNDS):
        taken, said = timed(plain, project, env | {"PYTHONPATH": "src"})
        by_hand.append(taken)
        taken, out = timed([*fleet, "--quiet", "--json"], tmp_path, env)
        by_fleet.append(taken)
        document = json.loads(out)

    for kind in ("clock", "busy"):
        hand = median(getattr(each, kind) for each in by_hand)
        ours = median(getattr(each, kind) for each in by_fleet)
        goal = hand * (1 + SHARE) + SECONDS
        print(
            f"\n{kind:<5} by hand {hand:.2f} s, aqe run {ours:.2f} s, {ours - hand:+.2f} s; "
            f"aimed at: at most {goal:.2f} s (load {os.getloadavg()[0]:.1f})",
            end="",
        )
    counts = {metric["name"]: metric["value"] for metric in document["metrics"]}
    assert counts["tests_collected"] == 61
    assert "61 passed" in said or "1 failed, 60 passed" in said
