"""How many of six flaky tests among forty a hunt of 60 s names, and how often it runs each."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.benchmarks.test_overhead import timed
from tests.e2e import flaky_project
from tests.e2e.conftest import AQE

if TYPE_CHECKING:
    from pathlib import Path

HUNTS = 1
HUNTS_FULL = 3
BUDGET = 15
BUDGET_FULL = 60


def test_a_hunt_names_the_flaky_tests_and_no_other(tmp_path: Path, *, full: bool) -> None:
    root = tmp_path / "shop"
    for name, text in flaky_project.files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    env = os.environ | own
    budget = BUDGET_FULL if full else BUDGET
    hunt = [str(AQE), "flaky", str(root), "--budget", str(budget), "--json", "--quiet"]
    # The tools are installed before anything is timed.
    timed([*hunt[:-3], "5", "--quiet"], tmp_path, env)
    for number in range(HUNTS_FULL if full else HUNTS):
        # Each hunt for itself: what earlier ones taught would help.
        taken, said = timed([*hunt, "--no-learn"], tmp_path, env)
        document = json.loads(said)
        figures = {metric["name"]: metric["value"] for metric in document["metrics"]}
        found = {test["id"]: test for test in document["flaky"]}
        fewest = min((test["runs"] for test in found.values()), default=0)
        missed = ", ".join(sorted(flaky_project.FLAKY - found.keys())) or "none"
        print(
            f"\nhunt {number + 1} of {budget} s: {len(found)} of {len(flaky_project.FLAKY)} named, "
            f"missed: {missed}; {figures['flaky_sessions']} sessions, "
            f"each test ran {fewest} times; "
            f"{taken.busy:.1f} s of the processor (load {os.getloadavg()[0]:.1f})",
            end="",
        )
        assert found.keys() <= flaky_project.FLAKY, "a stable test was named"
        for test in found.values():
            assert 0 <= test["low"] <= test["failures"] / test["runs"] <= test["high"] <= 1
