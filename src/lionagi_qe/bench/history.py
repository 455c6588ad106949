"""Paired ratios of benchmarks over commits: a file of JSON lines, and where a ratio changed.

Only ratios to the plain driver in the same round are compared, never rates: another machine, or one
that does other work, moves both sides. Still, each kind of machine has a course of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.performance.change_points import Change, find_changes
from lionagi_qe.agents.project.version_control import commit_of
from lionagi_qe.bench.contender import Kind
from lionagi_qe.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.bench.run import Report

# The last runs of a course that are looked at.
MOST_RUNS = 100
# A change below it is none that anybody would look for.
LEAST_CHANGE = 0.05
# A fall is new for so many runs; whoever meant it needs no other way to have it accepted.
NEW_RUNS = 10
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Run:
    """One benchmark run.

    Attributes:
        commit: that was checked out, with "-dirty" if files differed from it; "" without git.
        date: when, as ISO 8601 in UTC.
        machine: processor, cores and architecture, as text: runs of one are compared.
        backend: "sqlite", "postgresql" or "redis".
        versions: of server, Python and drivers, for whoever asks what else changed.
        ratios: row -> our figure to the plain driver's, the median of the rounds.
    """

    commit: str
    date: str
    machine: str
    backend: str
    versions: Mapping[str, str]
    ratios: Mapping[str, float]

    @property
    def label(self) -> str:
        """The commit, shortened, or the date without one."""
        commit, dash, dirty = self.commit.partition("-")
        return f"{commit[:_SHOWN]}{dash}{dirty}" or self.date


@dataclass(frozen=True, slots=True)
class Course:
    """A row's ratios over the runs of one kind of machine, the oldest first; where they changed."""

    backend: str
    row: str
    machine: str
    runs: Sequence[Run]
    changes: Sequence[Change]

    @property
    def values(self) -> list[float]:
        """The ratios."""
        return [run.ratios[self.row] for run in self.runs]

    @property
    def falls(self) -> list[Change]:
        """The changes for the worse, of a size worth telling."""
        return [each for each in self.changes if each.shift.ratio < 1 - LEAST_CHANGE]

    def is_new(self, change: Change) -> bool:
        """Whether a change lies in the last runs."""
        return change.at >= len(self.runs) - NEW_RUNS

    def also_changed(self, change: Change) -> list[str]:
        """Return what else is another since a change: "asyncpg 0.30.0 -> 0.31.0"."""
        before, after = self.runs[change.at - 1].versions, self.runs[change.at].versions
        return [
            f"{name} {before[name]} -> {after[name]}"
            for name in sorted(before.keys() & after.keys())
            if before[name] != after[name]
        ]


def run_of(report: Report, project: Path) -> Run:
    """Return what is kept of a report; costs two commands of git in ``project``."""
    machine = report.machine
    ratios: dict[str, float] = {}
    for result in report.rows:
        ours = result.of(Kind.OURS)
        ratio = None if ours is None else result.to_driver(ours)
        if ratio is not None:
            ratios[result.row.name] = round(ratio, 4)
    versions = {"server": report.server["server"], "python": machine["python"]}
    return Run(
        commit_of(project) or "",
        machine["date"],
        f"{machine['processor']}, {machine['cores']} cores",
        report.backend,
        versions | machine["packages"],
        ratios,
    )


def append(path: Path, run: Run) -> None:
    """Add a run to a file, which is made if it isn't there; several may do so at once.

    Raises:
        ConfigurationError: the file can't be written.

    """
    line = json.dumps(_as_json(run), sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"{path}: the run can't be added ({error})") from error


def _as_json(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in Run.__slots__}


def read(path: Path) -> list[Run]:
    """Return the runs of a file, in the order of their dates.

    Raises:
        ConfigurationError: there is no such file, or a line of it is none of ours.

    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: no history can be read ({error})") from error
    runs: list[Run] = []
    for number, line in enumerate(lines, 1):
        try:
            run = Run(**json.loads(line))
            if not all(ratio > 0 for ratio in run.ratios.values()):
                msg = "a ratio is not above 0"
                raise ValueError(msg)  # noqa: TRY301 - told with the line, as all else
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"{path}, line {number}: no run of aqe bench --record ({error}); take it out"
            raise ConfigurationError(msg) from error
        runs.append(run)
    return sorted(runs, key=lambda run: run.date)


def courses(runs: Iterable[Run]) -> list[Course]:
    """Return each row's course on each backend and kind of machine, and where it changed.

    Raises:
        ConfigurationError: ruptures is not installed.

    """
    grouped: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        for row in run.ratios:
            grouped.setdefault((run.backend, row, run.machine), []).append(run)
    found: list[Course] = []
    for (backend, row, machine), members in grouped.items():
        kept = members[-MOST_RUNS:]
        values = [run.ratios[row] for run in kept]
        changes = find_changes(values, courses=len(grouped))
        found.append(Course(backend, row, machine, kept, changes))
    return found
