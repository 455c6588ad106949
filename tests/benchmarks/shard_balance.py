"""Runs a suite of 5,000 tests whole and in shards, and tells how far from each other shards end.

    python -m tests.benchmarks.shard_balance FOLDER [--shards N] [--by file|test] [--rounds N]

Most of the tests are short and few are long, as in suites of others; they wait rather than compute,
so that other work on the machine counts little. A fixture of the session takes two seconds. One
shard after the other, by the durations of the whole run; in each of the rounds all of them, and of
each the least time counts. What other work on the machine does to that is told beside: the waits of
a shard's tests and the processor's time of its command, together. FOLDER gets ``shards.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AQE = Path(sys.executable).with_name("aqe")
_AGENTS = ("--agents", "test-executor,coverage-analyzer,quality-gate")
_PER_FILE = 20
# Seconds of the waits, and their logarithm's deviation: one in a thousand is 20 times the median.
_MEDIAN, _SPREAD = 0.01, 1.0
_APART = {"test_seconds", "test_sessions"}
_PRODUCT = "def step(number):\n    if number % {of}:\n        return number\n    return -number\n"
_CONFTEST = """
import pytest, time

@pytest.fixture(scope="session", autouse=True)
def server():
    time.sleep(2)
"""
_TEST = "def test_{number}():\n    time.sleep({wait:.5f})\n    assert step({number}) is not None\n"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command took by the clock and of the processors, and the run that it tells of."""

    seconds: float
    processor: float
    report: dict[str, Any]

    def figure(self, name: str) -> Any:
        return next(each["value"] for each in self.report["metrics"] if each["name"] == name)

    @property
    def figures(self) -> dict[str, Any]:
        metrics = self.report["metrics"]
        return {each["name"]: each["value"] for each in metrics if each["name"] not in _APART}


def write_suite(folder: Path, tests: int) -> tuple[Path, dict[str, float]]:
    """Write a project of so many tests; return its directory, and for how long each test waits."""
    waiting: dict[str, float] = {}
    chance = random.Random(1)
    project = folder / "suite"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "suite"\nversion = "1"\n')
    (project / "conftest.py").write_text(_CONFTEST)
    for first in range(0, tests, _PER_FILE):
        name = f"part{first // _PER_FILE}"
        (project / f"{name}.py").write_text(_PRODUCT.format(of=7))
        waits = [chance.lognormvariate(0, _SPREAD) * _MEDIAN for _ in range(_PER_FILE)]
        for number, wait in enumerate(waits, start=first):
            waiting[f"test_{name}.py::test_{number}"] = wait
        text = "".join(
            _TEST.format(number=number, wait=wait) for number, wait in enumerate(waits, start=first)
        )
        (project / f"test_{name}.py").write_text(f"import time\nfrom {name} import step\n{text}")
    return project, waiting


def aqe(folder: Path, *words: object) -> Ended:
    """Run a command with a memory of its own; the environments are those of the user's cache."""
    began, spent = time.monotonic(), _processor()
    completed = subprocess.run(
        [str(_AQE), *map(str, words), "--json", "--quiet"],
        check=False,
        capture_output=True,
        env=os.environ | {"XDG_STATE_HOME": str(folder / "state")},
    )
    took = time.monotonic() - began
    if completed.returncode != 0:
        raise SystemExit(completed.stderr.decode() or completed.stdout.decode())
    return Ended(took, _processor() - spent, json.loads(completed.stdout))


def _processor() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def measured(shards: int, tests: int, ways: Sequence[str], rounds: int) -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory(prefix="shards-") as name:
        folder = Path(name)
        project, waiting = write_suite(folder, tests)
        durations = folder / "durations.json"
        whole = aqe(
            folder, "run", project, *_AGENTS, "--parallel", "off", "--report",
            f"durations={durations}",
        )  # fmt: skip
        rows, files = [], []
        parts: dict[str, list[Ended]] = {by: [] for by in ways}
        for by, ended in parts.items():
            for turn in range(rounds):
                for part in range(1, shards + 1):
                    file = folder / f"{by}{part}.json"
                    report = ("--report", f"shard={file}", "--durations", durations)
                    asked = ("--shard", f"{part}/{shards}", "--shard-by", by)
                    found = aqe(folder, "run", project, *asked, *report)
                    if turn == 0:
                        files.append(file)
                        ended.append(found)
                    else:
                        ended[part - 1] = min(ended[part - 1], found, key=_in_pytest)
            merged = aqe(folder, "merge", *files[-shards:], "--project", project, *_AGENTS)
            alike = merged.figures == whole.figures
            rows += _rows(
                by, ended, merged, "equal" if alike else "DIFFERENT", durations, waiting=waiting
            )
    return _page(whole, rows, tests, rounds)


def _in_pytest(ended: Ended) -> float:
    return ended.figure("test_seconds")


def _rows(
    by: str,
    ended: list[Ended],
    merged: Ended,
    alike: str,
    durations: Path,
    *,
    waiting: Mapping[str, float],
) -> list[str]:
    took = [_in_pytest(each) for each in ended]
    known = json.loads(durations.read_bytes())["seconds"]
    planned = [sum(known[test["id"]] for test in each.report["tests"]) for each in ended]
    alone = [
        sum(waiting[test["id"]] for test in each.report["tests"]) + each.processor for each in ended
    ]
    commands = [each.seconds for each in ended]
    row = (
        *(by, " ".join(f"{each:.1f}" for each in took), _apart(took), _apart(planned)),
        *(" ".join(f"{each:.1f}" for each in alone), _apart(alone)),
        *(f"{max(commands):.1f}", f"{merged.seconds:.1f}", alike),
    )
    return [f"| {' | '.join(row)} |"]


def _apart(took: Sequence[float]) -> str:
    return f"{100 * (max(took) - min(took)) / max(took):.1f} %"


def _page(whole: Ended, rows: list[str], tests: int, rounds: int) -> str:
    day, cores = datetime.now(UTC).date(), os.cpu_count()
    return f"""# Shards of a suite of {tests:,} tests

On {day}, {cores} cores that did other work as well, Python {sys.version.split()[0]}. The whole
suite: {whole.figure("test_seconds"):.1f} s in pytest, {whole.seconds:.1f} s the command. "apart":
how much sooner than the last shard's the first one's tests ended, by the clock, and by the
durations that they were divided by; of {rounds} rounds each shard's quickest. "waits + CPU": of its
tests and of its command, which other work on the machine changes little. "figures": those of `aqe
merge` beside those of the whole run.

| by | s in pytest | apart | as planned | waits + CPU s | apart | command s | merge s | figures |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    """Measure, and write and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=5)
    parser.add_argument("--tests", type=int, default=5000)
    parser.add_argument("--by", choices=("file", "test"), action="append")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    page = measured(asked.shards, asked.tests, asked.by or ("file", "test"), asked.rounds)
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "shards.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
