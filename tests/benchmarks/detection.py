"""How often changes are found that are there, and told of that aren't; on planted histories.

    python -m tests.benchmarks.detection FILE [--histories N]

FILE gets a page in Markdown. Ratios are drawn with the noise of quiet and of busy machines: with
some runs that are far off, and with noise that lasts from one run to the next. Seeds are fixed.
Takes some minutes of the processor.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.performance.change_points import find_changes
from lionagi_qe.agents.performance.slower import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

# As many as the rows with a floor on one backend.
COURSES = 8
RUNS = 40
CHANGED_AT = 25
# A change is found at the right place if it is told so near it, in runs.
NEAR = 2


@dataclass(frozen=True, slots=True)
class Noise:
    """How runs of the same code differ.

    Attributes:
        name: for the table.
        spread: standard deviation of the ratio's logarithm.
        off: share of runs that are far off: three times the spread on top.
        lasting: how much of a run's noise the next one has, below 1.
    """

    name: str
    spread: float
    off: float = 0.0
    lasting: float = 0.0

    def course(self, chance: random.Random, runs: int) -> list[float]:
        """Return ratios around 1 of runs in which nothing changed."""
        level, found = 0.0, list[float]()
        for _ in range(runs):
            fresh = chance.gauss(0, self.spread) * math.sqrt(1 - self.lasting**2)
            level = self.lasting * level + fresh
            jolt = chance.gauss(0, 3 * self.spread) if chance.random() < self.off else 0.0
            found.append(math.exp(level + jolt))
        return found


NOISES = (
    Noise("quiet, 3 %", 0.03),
    Noise("usual, 8 %", 0.08),
    Noise("busy, 15 %, a tenth of runs far off", 0.15, off=0.1),
    Noise("8 %, lasting: 0.3 of a run's noise in the next", 0.08, lasting=0.3),
    Noise("8 %, lasting: 0.6 of a run's noise in the next", 0.08, lasting=0.6),
)
_HOW = (
    "{histories:,} histories a figure (half as many where something fell, and over 100 runs), "
    "{courses} rows looked at together, {runs} runs, the fall at run {at}. False alarms: the share "
    "of histories without a change in which one is told in any row. Over 100 runs: the share of "
    "single rows without a change that are told to have fallen at any of 19 looks, one after each "
    "fifth run. Found: the share of falls; near: at most {near} runs beside their place; after: "
    "the median of runs with the fall until it is found."
)
_TESTS = (
    "Tests of projects (`tests_slower`), 200 in 23 runs on a machine whose own speed varies by "
    "20 %, ten of them slower in the last three runs:"
)
FALLS = (0.95, 0.9, 0.8, 0.7)


def false_alarms(noise: Noise, histories: int) -> float:
    """Return the share of unchanged histories of COURSES rows in which any change is told."""
    chance = random.Random(f"quiet {noise.name}")
    told = 0
    for _ in range(histories):
        rows = (noise.course(chance, RUNS) for _ in range(COURSES))
        told += any(find_changes(row, courses=COURSES) for row in rows)
    return told / histories


def false_alarms_over_time(noise: Noise, histories: int) -> float:
    """Return the share of unchanged rows told to fall at any look, one after each fifth of 100."""
    chance = random.Random(f"time {noise.name}")
    told = 0
    for _ in range(histories):
        row = noise.course(chance, 100)
        looks = (find_changes(row[:runs], courses=COURSES) for runs in range(10, 101, 5))
        told += any(each.shift.ratio < 0.95 for found in looks for each in found)
    return told / histories


def found(noise: Noise, fall: float, histories: int) -> tuple[float, float, float]:
    """Return shares of falls found, and found near their place; runs until then, the median."""
    chance = random.Random(f"{fall} {noise.name}")
    seen, near, delays = 0, 0, list[float]()
    for _ in range(histories):
        row = noise.course(chance, RUNS)
        row = [*row[:CHANGED_AT], *(value * fall for value in row[CHANGED_AT:])]
        places = [each.at for each in find_changes(row, courses=COURSES) if each.shift.ratio < 1]
        seen += bool(places)
        near += any(abs(at - CHANGED_AT) <= NEAR for at in places)
        delays.append(_delay(row))
    delays.sort()
    return seen / histories, near / histories, delays[len(delays) // 2]


def _delay(row: Sequence[float]) -> float:
    """Return after how many runs with the fall it is found; infinite if it never is."""
    for runs in range(CHANGED_AT + 3, RUNS + 1):
        if any(each.shift.ratio < 1 for each in find_changes(row[:runs], courses=COURSES)):
            return runs - CHANGED_AT
    return math.inf


def slower_tests(spread: float, slower: float, histories: int) -> tuple[float, float]:
    """Return, of 200 tests, how many unchanged are told slower a run, and the share found of 10."""
    chance = random.Random(f"{spread} {slower}")
    wrong, right = 0, 0
    for _ in range(histories):
        courses: dict[str, dict[str, float]] = {}
        machine = [chance.lognormvariate(0, 0.2) for _ in range(23)]
        for test in range(200):
            base = chance.lognormvariate(-1, 1)
            courses[str(test)] = {
                f"{run:02}": base
                * machine[run]
                * chance.lognormvariate(0, spread)
                * (slower if test < 10 and run >= 20 else 1)
                for run in range(23)
            }
        told = {int(each.id) for each in judge(courses).slower}
        right += len([test for test in told if test < 10])
        wrong += len([test for test in told if test >= 10])
    return wrong / histories, right / histories / 10


def page(histories: int) -> str:
    """Measure all of it; return it as Markdown."""
    lines = [
        _HOW.format(histories=histories, courses=COURSES, runs=RUNS, at=CHANGED_AT + 1, near=NEAR),
        "",
        "| noise of a run | false alarms | over 100 runs | "
        + " | ".join(f"to {fall:g}: found, near, after" for fall in FALLS)
        + " |",
        "|---|--:|--:|" + "--:|" * len(FALLS),
    ]
    for noise in NOISES:
        cells = [f"{false_alarms(noise, histories):.1%}"]
        cells.append(f"{false_alarms_over_time(noise, max(20, histories // 2)):.1%}")
        for fall in FALLS:
            seen, near, delay = found(noise, fall, max(20, histories // 2))
            after = f"{delay:.0f} runs" if math.isfinite(delay) else "never"
            cells.append(f"{seen:.0%}, {near:.0%}, {after}")
        lines.append(f"| {noise.name} | {' | '.join(cells)} |")
        sys.stderr.write(f"{lines[-1]}\n")
    lines += [
        "",
        _TESTS,
        "",
        "| noise of a test | unchanged tests told a run | found, 1.3 times | found, 2 times |",
        "|---|--:|--:|--:|",
    ]
    for spread in (0.05, 0.15, 0.3):
        some = max(20, histories // 10)
        wrong, small = slower_tests(spread, 1.3, some)
        _, large = slower_tests(spread, 2.0, some)
        lines.append(f"| {spread:.0%} | {wrong:.2f} of 190 | {small:.0%} | {large:.0%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--histories", type=int, default=500)
    options = parser.parse_args()
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(page(options.histories), encoding="utf-8")


if __name__ == "__main__":
    main()
