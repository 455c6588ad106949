"""Holds runs in several sessions side by side against one session, and against plain pytest.

    python -m tests.corpus.side_by_side FOLDER NAME ... [--sessions N] [--rounds N]

Each package is run in one session, then twice side by side: the first of these compares, the second
is what counts later, if the first has shown that no test minds. FOLDER gets ``side_by_side.md``.
Costs four runs of each package's tests and more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path
from tests.corpus.sdist import Package, fetch, packages, unpack
from tests.corpus.sides import of_fleet, of_pytest
from tests.corpus.verdict import differences, in_words
from tests.markdown import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.corpus.sides import Figures

_LIMIT = 600.0
_COLUMNS = ("project", "tests", "sessions", "one s", "side by side s", "one session", "pytest", "")
INTRODUCTION = """# Tests side by side, on other people's projects

`aqe run` with `--parallel off` and with `--parallel {sessions}`, then plain pytest and coverage.py,
on source distributions of the [corpus](corpus.md). "sessions": in how many the tests ran once both
had been compared; where it is 1, some test or line minds, and the last column says which. Seconds
are of the whole command, the median of {rounds} rounds by turns. "one session" and "pytest" say
whether each test's outcome, and the lines and branches of each file, are the same in the last run.
On {day}, on a machine with {cores} cores that did other work as well: load {load:.1f} at the end.
"""


def compared(package: Package, cache: Path, sessions: int, rounds: int) -> list[str]:
    """Return the row of a package."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        scratch = Path(folder)
        archive = fetch(package, cache / "sdists")
        project = unpack(archive, package, scratch / "examined")

        def fleet(parallel: str) -> tuple[Figures, dict[str, Any]]:
            limit = max(package.limit, _LIMIT)
            figures, report = of_fleet(project, scratch, cache, limit, "--parallel", parallel)
            if not report:
                raise RuntimeError(f"{package}: {figures.problem}")
            return figures, report

        fleet("off")
        _, comparing = fleet(str(sessions))
        runs = [(fleet("off"), fleet(str(sessions))) for _ in range(rounds)]
        alone, beside = zip(*runs, strict=True)
        (one, _), (both, report) = alone[-1], beside[-1]
        plain = of_pytest(unpack(archive, package, scratch / "plain"), report, scratch, _LIMIT)
        ran_in = next(each for each in report["metrics"] if each["name"] == "test_sessions")
        notes = [note for note in (*comparing["notes"], *report["notes"]) if "session" in note]
        return [
            *(package.label, f"{len(both.outcomes):,}", str(ran_in["value"])),
            *(f"{_seconds(alone):.1f}", f"{_seconds(beside):.1f}"),
            *(_same(both, one), _same(both, plain)),
            "; ".join(notes).replace("|", r"\|"),
        ]


def _seconds(runs: Sequence[tuple[Figures, Any]]) -> float:
    return median(figures.total for figures, _ in runs)


def _same(ours: Figures, theirs: Figures) -> str:
    found = differences(ours, theirs)
    return "; ".join(in_words(found)) if found else "equal"


def _written(rows: Sequence[Sequence[str]], sessions: int, rounds: int) -> str:
    introduction = INTRODUCTION.format(
        sessions=sessions,
        rounds=rounds,
        day=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        load=os.getloadavg()[0],
    )
    return "\n".join([introduction, *table(_COLUMNS, rows), ""])


def main() -> int:
    """Compare, and write the table after each package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", metavar="NAME", help="of packages.toml")
    parser.add_argument("--sessions", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    corpus = {package.name: package for package in packages()}
    if unknown := {*options.names} - corpus.keys():
        parser.error(f"not in packages.toml: {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    cache = user_cache_path("aqe-corpus", appauthor=False)
    rows: list[list[str]] = []
    for name in options.names:
        rows.append(compared(corpus[name], cache, options.sessions, options.rounds))
        sys.stderr.write(f"{' | '.join(rows[-1])}\n")
        text = _written(rows, options.sessions, options.rounds)
        (options.folder / "side_by_side.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
