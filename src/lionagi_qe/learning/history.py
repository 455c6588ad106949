"""CI histories: which tests a cycle had, how long they take, how they ended.

The format is that of the RETECS data sets (Spieker et al., "Reinforcement Learning for Automatic
Test Case Prioritization and Selection in Continuous Integration", ISSTA 2017): semicolon-separated
``Id;Name;Duration;CalcPrio;LastRun;LastResults;Verdict;Cycle``, Verdict 1 for a failure.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.learning.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COLUMNS = ("Id", "Name", "Duration", "CalcPrio", "LastRun", "LastResults", "Verdict", "Cycle")
_VERDICTS = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A test that a cycle could run: all that an ordering may know of it beforehand.

    Attributes:
        name: what the test is called from cycle to cycle.
        duration: the expected running time, in any unit that the history keeps to.
        touched: the share of the changed code that the test runs, from 0 to 1.
    """

    name: str
    duration: float
    touched: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test that ran ended."""

    name: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Cycle:
    """One CI cycle: its candidates and, parallel to them, whether each fails when run."""

    number: int
    candidates: tuple[Candidate, ...]
    failed: tuple[bool, ...]

    @property
    def failures(self) -> int:
        """How many of the cycle's executions fail."""
        return sum(self.failed)

    @property
    def duration(self) -> float:
        """The time that running everything takes."""
        return math.fsum(candidate.duration for candidate in self.candidates)


def read_history(path: Path) -> list[Cycle]:
    """Return the cycles of a RETECS CSV file, in ascending order.

    Only Name, Duration, Verdict and Cycle are used: LastResults already holds results of the same
    cycle in some rows, and LastRun tells the order in which the cycle really ran.

    Raises:
        HistoryError: the file is missing, has other columns, no rows, or a value that is wrong.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_history(lines, str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HistoryError(f"{path}: can't be read as a CI history: {error}") from error


def parse_history(lines: Iterable[str], source: str) -> list[Cycle]:
    """Return the cycles in the lines of a RETECS CSV; ``source`` names them in errors."""
    reader = csv.DictReader(lines, delimiter=";")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise HistoryError(
            f"{source}: no column {', '.join(missing)}; a RETECS history starts with the line "
            + ";".join(COLUMNS)
        )
    cycles: dict[int, list[tuple[Candidate, bool]]] = {}
    for row in reader:
        where = f"{source}, line {reader.line_num}"
        number, candidate, failed = _execution(row, where)
        cycles.setdefault(number, []).append((candidate, failed))
    if not cycles:
        raise HistoryError(f"{source}: holds a header and no executions")
    return [
        Cycle(number, tuple(test for test, _ in rows), tuple(failed for _, failed in rows))
        for number, rows in sorted(cycles.items())
    ]


def _execution(row: dict[str, str | None], where: str) -> tuple[int, Candidate, bool]:
    name = row["Name"]
    if not name:
        raise HistoryError(f"{where}: Name is empty")
    try:
        number = int(row["Cycle"] or "")
    except ValueError as error:
        raise HistoryError(f"{where}: Cycle {row['Cycle']!r} is no integer") from error
    try:
        duration = float(row["Duration"] or "")
    except ValueError as error:
        raise HistoryError(f"{where}: Duration {row['Duration']!r} is no number") from error
    if not 0 <= duration < math.inf:
        raise HistoryError(f"{where}: Duration {row['Duration']!r} is negative or not finite")
    verdict = row["Verdict"] or ""
    if verdict not in _VERDICTS:
        raise HistoryError(f"{where}: Verdict {verdict!r}; write 1 for a failure, 0 for a pass")
    return number, Candidate(name, duration), _VERDICTS[verdict]
