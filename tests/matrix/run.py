"""Runs the contract on every version of servers, Python and dependencies that can be had here.

    python -m tests.matrix.run FOLDER [--only NAME ...] [--again] [--page FILE]

FOLDER gets a JSON file a cell, written when it is over, so that a run that was broken off goes on
where it was; and ``matrix.md``, the table. Servers and environments are kept in the cache.
What can't be had is a row with the reason. The exit code is 1 if tests of a cell failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from platformdirs import user_cache_path
from tests.matrix import page
from tests.matrix.cell_list import LIST, Cell, cells, sources
from tests.matrix.environments import environment_of
from tests.matrix.fetching import NotHadError, last_line, program_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.matrix.cell_list import Source

ROOT = Path(__file__).parents[2]
PASSED, FAILED, NOT_HAD = "passed", "failed", "not had"
_LONGEST_REASON = 200
# A path may have 4,096 bytes, and a name 255.
_LONG_NAME = "x" * 100


@dataclass(slots=True)
class Result:
    """What came of a cell; JSON data."""

    name: str
    verdict: str
    reason: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    failures: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    date: str = ""
    commit: str = ""


def run(cell: Cell, listed: Mapping[str, Source], cache: Path, workers: str) -> Result:
    """Get what a cell needs and run its tests; whatever can't be had is the result's reason.

    Args:
        cell: what to run.
        listed: all servers of the list, as one may use files of another.
        cache: where servers and environments are kept.
        workers: of pytest-xdist.

    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    result = Result(cell.name, NOT_HAD, date=now, commit=_commit())
    try:
        folders = [program_folder(source, listed, cache / "servers") for source in cell.servers]
        python = environment_of(cell, listed, cache, ROOT)
    except NotHadError as error:
        result.reason = str(error)[:_LONGEST_REASON]
        return result
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    with tempfile.TemporaryDirectory(prefix="matrix-") as scratch:
        arguments = ["-n", workers, *cell.arguments]
        environment = os.environ | cell.environment | {"PATH": path}
        _run_tests(result, [str(python), *_asked(cell)], arguments, environment, Path(scratch))
    return result


def _run_tests(
    result: Result,
    program: Sequence[str],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    scratch: Path,
) -> None:
    told, report = scratch / "versions.json", scratch / "junit.xml"
    places = {"{scratch}": str(scratch), "{long}": _LONG_NAME}
    python, *asked = program
    command = [python, "-m", "tests.matrix.inside", str(told), "--servers", *asked, "--"]
    command += ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "--dist=loadscope"]
    command += [f"--junit-xml={report}", *(_filled(word, places) for word in arguments)]
    for word in command:
        if word.startswith(str(scratch)) and word not in {str(told), str(report)}:
            Path(word).parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    result.seconds = round(time.monotonic() - began, 1)
    if told.exists():
        result.versions = json.loads(told.read_text(encoding="utf-8"))
    if not report.exists():
        result.verdict, result.reason = FAILED, last_line(done.stdout)[:_LONGEST_REASON]
        return
    result.counts, result.failures = _outcomes(report)
    bad = done.returncode or result.failures or not result.counts["passed"]
    result.verdict = FAILED if bad else PASSED
    if result.failures:
        _say(done.stdout[-8000:])


def _asked(cell: Cell) -> Iterable[str]:
    """Return whose versions are told, and whether a cluster is to be started."""
    named = {source.system for source in cell.servers}
    return sorted(named | ({cell.tests} & {"cluster", "sqlite"}))


def _filled(word: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(name, value)
    return word


def _outcomes(report: Path) -> tuple[dict[str, int], list[str]]:
    """Return {outcome: count} and the failed tests of pytest's report."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures: list[str] = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        label = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
            failures.append(label)
        elif case.find("skipped") is not None:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts, failures


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    said = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def results(folder: Path) -> dict[str, Result]:
    """Return the results that a folder has, by cell."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json"))
    return {each["name"]: Result(**each) for each in found}


def main() -> int:
    """Run, tell, and write; 1 if tests of a cell that ran now failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where the results and the table go")
    parser.add_argument("--only", nargs="*", default=[], help="names of cells; done again")
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    parser.add_argument("--page", type=Path, help="where the table goes instead")
    parser.add_argument("--no-run", action="store_true", help="write the table anew, run nothing")
    parser.add_argument("--list", type=Path, default=LIST, help="another cells.toml")
    parser.add_argument("--workers", default="2", help="of pytest-xdist")
    options = parser.parse_args()
    listed = cells(options.list)
    if unknown := {*options.only} - {cell.name for cell in listed}:
        parser.error(f"not in {options.list.name}: {', '.join(sorted(unknown))}")
    # What runs is ended then, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    cache = user_cache_path("aqe-matrix", appauthor=False)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    before, failed = results(folder), False
    for cell in () if options.no_run else listed:
        is_asked = cell.name in options.only
        if (options.only and not is_asked) or (
            cell.name in before
            and before[cell.name].verdict == PASSED
            and not (options.again or is_asked)
        ):
            continue
        result = run(cell, sources(options.list), cache, options.workers)
        unfinished = folder / f".{cell.name}.tmp"
        unfinished.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / f"{cell.name}.json")
        failed |= result.verdict == FAILED
        _say(f"{cell.name}: {result.verdict} {result.reason} {result.counts} {result.seconds} s")
        for label in result.failures:
            _say(f"  {label}")
    text = page.written(listed, results(folder))
    (options.page or folder / "matrix.md").write_text(text, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
