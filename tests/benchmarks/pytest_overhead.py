"""Times pytest with ``--aqe`` beside pytest without it, on a suite of 2,000 tests.

    python -m tests.benchmarks.pytest_overhead [--rounds N] [--milliseconds M] [--options ...]

Each test computes for about M milliseconds; 40 files have 50 tests each, and one in 500 fails. The
project's memory holds as many runs as a history keeps, so that what is read and written is as large
as it gets. Rounds go by turns, and each begins with the other side. Printed are the medians and the
median of the rounds' own differences: by the clock, which says something where nothing else runs;
of the processors by pytest's own process; and of the processors with the memory's process, which
runs beside the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from lionagi_qe.fleet.project_memory import default_memory
from lionagi_qe.fleet.run_history import KEPT_RECORDS, RunHistory
from lionagi_qe.fleet.run_ids import new_run_id
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILES, TESTS = 40, 50
FAILS = 500
# Pytest's own, and nothing that would take time on both sides.
PLAIN = ("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:langsmith_plugin", "-p", "no:anyio")
PLAIN += ("-p", "no:faker", "-p", "no:asyncio", "-p", "no:xdist", "-p", "no:cov")
# Starts pytest and takes in the processes that it leaves: prints the seconds by the clock until
# pytest has ended, its own of the processors, and theirs.
RUN = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
began, clock, own, beside = time.monotonic(), None, None, 0.0
pytest = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
while True:
    try:
        process, _, used = os.wait4(-1, 0)
    except ChildProcessError:
        break
    if process == pytest:
        clock, own = time.monotonic() - began, used.ru_utime + used.ru_stime
    else:
        beside += used.ru_utime + used.ru_stime
print(clock, own, beside, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds by the clock, of the processors by pytest itself, and by the process beside it."""

    clock: float
    own: float
    beside: float

    @property
    def busy(self) -> float:
        """Seconds of the processors in all."""
        return self.own + self.beside


def write_suite(project: Path, milliseconds: float) -> list[str]:
    """Write the project; return its tests."""
    (project / "pyproject.toml").write_text('[project]\nname = "measured"\nversion = "1"\n')
    (project / "work.py").write_text(
        "import time\n\n\ndef work():\n"
        f"    until = time.thread_time() + {milliseconds / 1000}\n"
        "    while time.thread_time() < until:\n        sum(range(500))\n"
    )
    (project / "conftest.py").write_text("")
    tests = project / "tests"
    tests.mkdir()
    names: list[str] = []
    for file in range(FILES):
        lines = ["from work import work\n"]
        for test in range(TESTS):
            number = file * TESTS + test
            name = f"test_what_part_{number}_does"
            fails = " == 0" if number % FAILS == 0 else ""
            lines.append(f"\n\ndef {name}():\n    work()\n    assert {number}{fails} or {test}\n")
            names.append(f"tests/test_area_{file}.py::{name}")
        (tests / f"test_area_{file}.py").write_text("".join(lines))
    return names


async def fill(url: str, names: Sequence[str]) -> None:
    """Give each test as many records as a history keeps."""
    async with open_memory(url, cleanup_interval=None) as memory:
        history = RunHistory(memory, "measured")
        for _ in range(KEPT_RECORDS):
            entries = await history.entries()
            tests = [
                {"id": name, "outcome": "passed", "seconds": 0.01, "place": place}
                for place, name in enumerate(names)
            ]
            await history.add_outcomes(new_run_id(), tests, entries)


def timed(project: Path, env: Mapping[str, str], options: Sequence[str]) -> Taken:
    """Run the suite once; see RUN."""
    command = [sys.executable, "-c", RUN, *PLAIN, *options]
    done = subprocess.run(command, cwd=project, env=env, check=True, capture_output=True, text=True)
    assert "3 failed, 1997 passed" in done.stdout, done.stdout
    return Taken(*map(float, done.stderr.split()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=10.0)
    parser.add_argument("--options", nargs="+", default=["--aqe"], metavar="OPTION")
    given, more = parser.parse_known_args()
    options = [*given.options, *more]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "measured")
        project.mkdir()
        os.environ["XDG_STATE_HOME"] = str(Path(folder, "state"))
        os.environ.pop("LIONAGI_QE_MEMORY", None)
        names = write_suite(project, given.milliseconds)
        asyncio.run(fill(default_memory(project, "measured"), names))
        plain: list[Taken] = []
        kept: list[Taken] = []
        for number in range(given.rounds + 1):
            sides = [(plain, []), (kept, options)]
            for taken, words in sides if number % 2 else reversed(sides):
                taken.append(timed(project, os.environ, words))
    # The first round compiles, and makes what is made once.
    _show(options, plain[1:], kept[1:])


def _show(options: Sequence[str], plain: Sequence[Taken], kept: Sequence[Taken]) -> None:
    print(f"{FILES * TESTS} tests, {len(plain)} rounds; pytest and pytest {' '.join(options)}")
    for name in ("clock", "own", "busy"):
        before = [getattr(each, name) for each in plain]
        after = [getattr(each, name) for each in kept]
        more = [b - a for a, b in zip(before, after, strict=True)]
        share = 100 * median(b / a - 1 for a, b in zip(before, after, strict=True))
        spread = f"{min(more):+.3f} to {max(more):+.3f}"
        print(
            f"{name:6}{median(before):8.2f} s{median(after):8.2f} s"
            f"{median(more):+8.3f} s ({spread}) {share:+.2f} %"
        )


if __name__ == "__main__":
    main()
