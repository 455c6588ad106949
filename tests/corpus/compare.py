"""Examines other people's packages and holds aqe's figures against plain pytest's.

    python -m tests.corpus.compare FOLDER [--only NAME ...] [--list FILE] [--limit-seconds S]

FOLDER gets ``corpus.json``, a result a package, written after each, so that a run that was broken
off goes on where it was; and ``corpus.md``, the table. Costs up to an hour or two, some GB of
environments in the cache directory, and the network.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path
from tests.corpus import page
from tests.corpus.sdist import PACKAGES, Package, digest, fetch, packages, unpack
from tests.corpus.sides import Figures, of_fleet, of_pytest
from tests.corpus.verdict import DIFFERS, NO_FIGURES, differences, judge, of_two, tally

# Plain pytest is run again where figures differ, to see how much it differs from itself.
_MOST_RUNS = 3
_LONGEST_CAUSE = 160


@dataclass(slots=True)
class Result:
    """What came of one package; JSON data."""

    name: str
    version: str
    verdict: str
    differences: list[str]
    untouched: bool = True
    tests: int = 0
    outcomes: dict[str, int] = field(default_factory=dict[str, int])
    uncollectable: int = 0
    totals: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    plain_seconds: float = 0.0
    total_seconds: float = 0.0
    python: str = ""
    origin: str = ""
    scope: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    bad: dict[str, str] = field(default_factory=dict[str, str])
    date: str = ""


def examine(package: Package, cache: Path, limit: float) -> Result:
    """Compare both sides on one package.

    Args:
        package: of the corpus.
        cache: where archives and environments are kept.
        limit: most seconds of each run.

    """
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        scratch = Path(folder)
        try:
            archive = fetch(package, cache / "sdists")
        except (subprocess.SubprocessError, OSError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            return _result(package, NO_FIGURES, [f"not fetched: {said[-1] if said else error}"])
        project = unpack(archive, package, scratch / "examined")
        before = digest(project)
        ours, report = of_fleet(project, scratch, cache, limit)
        untouched = digest(project) == before
        theirs: list[Figures] = []
        for _ in range(_MOST_RUNS if report else 0):
            plain = unpack(archive, package, scratch / "plain")
            theirs.append(of_pytest(plain, report, scratch, limit))
            if theirs[-1].problem or ours.problem or not differences(ours, theirs[0]):
                break
        if not theirs:
            result = _result(package, NO_FIGURES, [ours.problem or ""])
        else:
            verdict = judge(ours, theirs)
            if verdict.kind == DIFFERS:
                again, _ = of_fleet(project, scratch, cache, limit)
                verdict = of_two(verdict, judge(again, theirs))
            result = _result(package, verdict.kind, list(verdict.differences))
            result.plain_seconds = round(min(each.seconds for each in theirs), 2)
        _fill(result, ours, report)
        result.untouched = untouched
        return result


def _result(package: Package, verdict: str, found: list[str]) -> Result:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(package.name, package.version, verdict, found, date=now)


def _fill(result: Result, ours: Figures, report: dict[str, Any]) -> None:
    result.tests, result.outcomes = len(ours.outcomes), tally(ours.outcomes.values())
    result.uncollectable, result.totals = len(ours.uncollectable), ours.totals
    result.seconds, result.total_seconds = round(ours.seconds, 2), round(ours.total, 2)
    if report:
        environment = report["environment"]
        result.python, result.origin = environment["python"], environment["origin"]
        result.scope, result.notes = environment["scope"], report["notes"]
        result.bad = {
            test["id"]: f"{test['outcome']}: {_cause(test['message'])}"
            for test in report["tests"]
            if test["outcome"] in {"failed", "error", "interrupted", "unimportable"}
        }
        result.bad |= {
            file: f"not collected: {_cause(text)}" for file, text in report["uncollectable"].items()
        }


def _cause(message: str) -> str:
    """Return the line of pytest's message that names the error."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = [line[1:].strip() for line in lines if line.startswith("E  ")]
    named = [line for line in told if re.match(r"[\w.]+(Error|Exception|Warning|Failed)\b", line)]
    return ([*(named or told or lines), "it said nothing"])[0][:_LONGEST_CAUSE]


def _shown(data: Any, places: dict[str, str]) -> Any:
    """Return JSON data without this machine's paths."""
    if isinstance(data, dict):
        return {_shown(key, places): _shown(value, places) for key, value in data.items()}
    if isinstance(data, list):
        return [_shown(value, places) for value in data]
    if isinstance(data, str):
        for path, name in places.items():
            data = data.replace(path, name)
        return re.sub(rf"{re.escape(tempfile.gettempdir())}/\S*/", "$SCRATCH/", data)
    return data


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main() -> int:
    """Compare, tell, and write; 1 if figures of one that was compared now are wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where corpus.json and corpus.md go")
    parser.add_argument("--only", nargs="*", default=[], help="names of packages; done again")
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    parser.add_argument("--limit-seconds", type=float, default=300.0, help="of each run")
    parser.add_argument("--page", action="store_true", help="write the page anew, compare nothing")
    parser.add_argument("--list", type=Path, default=PACKAGES, help="another packages.toml")
    options = parser.parse_args()
    corpus = packages(options.list)
    # What runs is ended then, too; and tests of Ctrl-C don't inherit that it is ignored, as it is
    # for what a shell starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if unknown := {*options.only} - {package.name for package in corpus}:
        parser.error(f"not in {options.list.name}: {', '.join(sorted(unknown))}")
    cache = user_cache_path("aqe-corpus", appauthor=False)
    options.folder.mkdir(parents=True, exist_ok=True)
    target: Path = options.folder / "corpus.json"
    results = _read(target)
    wrong = False
    for number, package in enumerate(() if options.page else corpus, start=1):
        done = package.label in results and not options.again
        if (options.only and package.name not in options.only) or (done and not options.only):
            continue
        began = time.monotonic()
        result = examine(package, cache, max(package.limit, options.limit_seconds))
        # Others may write results beside us.
        places = {str(cache): "$CACHE", sys.base_prefix: "$PYTHON"}
        results = _read(target) | {package.label: _shown(asdict(result), places)}
        unfinished = target.with_suffix(".tmp")
        unfinished.write_text(
            json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        unfinished.replace(target)
        wrong |= result.verdict in {DIFFERS, NO_FIGURES} or not result.untouched
        spent = time.monotonic() - began
        _say(
            f"{number}/{len(corpus)} {package.label}: {result.verdict}, {result.tests} tests, "
            f"{spent:.0f} s {'; '.join(result.differences)[:300]}"
        )
    text = page.written(corpus, results)
    (options.folder / "corpus.md").write_text(text, encoding="utf-8")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
