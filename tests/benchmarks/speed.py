"""Times ``aqe run`` beside ``coverage run -m pytest`` by hand on other people's projects.

    python -m tests.benchmarks.speed FOLDER [--only NAME ...] [--rounds N] [--first-rounds N]

Warm: aqe's environment is there, and both sides have run before in it. First: aqe has no
environment yet; by hand it is ``uv venv``, ``uv pip install`` of the project with what its tests
need, and the tests; then, told on its own, coverage.py's report. uv's own cache is filled for
both. Rounds go by turns. FOLDER gets
``speed.json`` and ``speed.md`` after each project; rows of others stay. Costs some minutes a
project, and the network the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path
from tests.corpus.sdist import Package, fetch, packages, unpack
from tests.corpus.sides import fleet_command, plain_command

from lionagi_qe.agents.environment.built import TOOLS
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.agents.environment.interpreter import OWN_BASE
from lionagi_qe.agents.environment.requirements import requirements_of
from lionagi_qe.agents.project.settings import read_pyproject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Few and many tests, short and long ones, little and much code; each installs from what it
# declares alone, so that the same can be done by hand.
PROJECTS = (
    *("itsdangerous", "tinydb", "wsproto", "marko", "rfc3986", "pdm-backend"),
    *("tabulate", "tomlkit", "dep-logic", "python-dotenv", "pyproject-hooks", "fasteners"),
)
# aimed at: times the seconds by hand where these are many, else seconds more
MOST_TIMES, MANY_SECONDS, MOST_MORE = 1.15, 5.0, 1.0

_COLUMNS = (
    *("project", "tests", "rounds", "load", "hand s", "aqe s", "times", "more s", "reached"),
    *("hand CPU s", "aqe CPU s", "times", "more s", "reached by CPU"),
)
_OF_REPORT = ("report by hand s", "times with it", "reached with it")

INTRODUCTION = """# How long `aqe run` takes

`aqe run` beside `coverage run -m pytest` by hand, with branches, the same settings and the same
interpreter, on source distributions of the [corpus](corpus.md). Its agents are those that count
the tests, read the coverage and judge (`--agents test-executor,coverage-analyzer,quality-gate`):
copying the project, the report of coverage.py and keeping all results are part of its time, while
by hand nothing is reported but where a column says so. "warm": the environment is there, and both
have run before. "first": there is none; by hand it is `uv venv`, `uv pip install -e` of the project
with what its tests need, and the tests; uv has the packages in its cache for both. "report by hand"
is what `coverage report` takes after them, without which nobody who measures by hand sees a figure,
and "with it" compares with both. Projects, environments and caches lie on
the disk; temporary files of both sides, as aqe's copies of a project are, lie in memory
(`/dev/shm`) where the system has that. On ext4 whoever makes a file is slowed down by all that was
deleted in the last minutes, so that each round would measure those before it: two copies of
tomlkit's 1,100 files took 0.16 s at first, and 0.89 s after eight runs within a minute.

The rounds go by turns; seconds are medians, and what is compared is the median of the rounds' own
ratios (or differences). Aimed at: 1.15 times the seconds by hand where these are at least 5, else
1.0 s more, and 1.15 times for first runs. "load" is how many programs wanted a core on average
while a project was measured: where it is above the number of cores, the clock tells more of the
others than of either side, and only the seconds of the processors say something, though they grow,
too. `make speed SPEED_OUT=docs` writes the page anew, `make speed SPEED_OUT=docs ONLY="marko"` one
row.
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds by the clock, and of the processors."""

    clock: float
    busy: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: what each side took, and what the report by hand took where it was made."""

    fleet: Taken
    hand: Taken
    report: Taken | None = None

    @property
    def with_report(self) -> Pair:
        """The same with the report as a part of what is done by hand."""
        more = self.report or Taken(0.0, 0.0)
        return Pair(self.fleet, Taken(self.hand.clock + more.clock, self.hand.busy + more.busy))


# Where Linux keeps files in memory.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - directories of our own in it

# Its words, and its environment.
Command = tuple[list[str], dict[str, str]]


def timed(commands: Sequence[Command], cwd: Path) -> tuple[Taken, int, str]:
    """Run commands, each in its environment; return what all took, and what the last one said.

    Raises:
        RuntimeError: one but the last one failed.

    """
    code, said = 0, ""
    began, before = time.monotonic(), _busy()
    for number, (command, env) in enumerate(commands, start=1):
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        code, said = done.returncode, done.stdout
        if code != 0 and number < len(commands):
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-600:]}")
    return Taken(time.monotonic() - began, _busy() - before), code, said


def _busy() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Race:
    """Both sides of one project.

    Args:
        package: of the corpus.
        cache: where archives and environments are kept.
        scratch: an empty directory.
        temporary: another one, for temporary files of both sides.
    """

    def __init__(self, package: Package, cache: Path, scratch: Path, temporary: Path) -> None:
        self._package = package
        self._temporary = temporary
        self._cache = cache
        self._scratch = scratch
        self._archive = fetch(package, cache / "sdists")
        self.report: dict[str, Any] = {}

    def warm(self, rounds: int) -> list[Pair]:
        """Run both sides once, then by turns; aqe's environments are those of the cache."""
        examined = unpack(self._archive, self._package, self._scratch / "examined")
        plain = unpack(self._archive, self._package, self._scratch / "plain")
        self._fleet(examined, self._cache)
        python = Path(self.report["environment"]["interpreter"])
        command, env, _ = plain_command(plain, self.report, self._scratch, python)

        env |= self._own_temporary("hand")

        def by_hand() -> Taken:
            return self._hand([(command, env)], plain)

        self._fleet(examined, self._cache)
        by_hand()
        return _by_turns(lambda: self._fleet(examined, self._cache), by_hand, rounds)

    def first(self, rounds: int) -> list[Pair]:
        """Make environments anew in each round, from uv's filled cache; after ``warm``."""
        reports: list[Taken] = []

        def fleet() -> Taken:
            project = unpack(self._archive, self._package, self._scratch / "examined")
            shutil.rmtree(self._scratch / "cache", ignore_errors=True)
            (self._scratch / "memory.db").unlink(missing_ok=True)
            return self._fleet(project, self._scratch / "cache")

        def by_hand() -> Taken:
            project = unpack(self._archive, self._package, self._scratch / "plain")
            shutil.rmtree(self._scratch / "venv", ignore_errors=True)
            python = self._scratch / "venv" / "bin" / "python"
            # coverage.py is asked for the project's own settings by an interpreter that has it.
            known = Path(self.report["environment"]["interpreter"])
            command, env, rcfile = plain_command(project, self.report, self._scratch, known)
            env |= {"PATH": f"{python.parent}{os.pathsep}{env['PATH']}"}
            env |= self._own_temporary("hand")
            making = _installation(project, self._scratch / "venv")
            taken = self._hand([*making, ([str(python), *command[1:]], env)], project)
            coverage = [str(python), "-m", "coverage"]
            # Each process has written its own data, as in aqe; who measures one has no need of it.
            timed([([*coverage, "combine", "-q", f"--rcfile={rcfile}"], env)], project)
            words = ["report", "--ignore-errors", f"--rcfile={rcfile}"]
            reports.append(timed([([*coverage, *words], env)], project)[0])
            return taken

        # What only an editable installation needs is fetched before.
        project = unpack(self._archive, self._package, self._scratch / "plain")
        timed(_installation(project, self._scratch / "venv"), project)
        pairs = _by_turns(fleet, by_hand, rounds)
        return [replace(pair, report=report) for pair, report in zip(pairs, reports, strict=True)]

    def _fleet(self, project: Path, cache: Path) -> Taken:
        command, env = fleet_command(project, self._scratch, cache)
        # As installed, compiled modules are kept.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env |= self._own_temporary("fleet")
        taken, _, said = timed([(command, env)], self._scratch)
        self.report = json.loads(said)
        return taken

    def _own_temporary(self, side: str) -> dict[str, str]:
        directory = self._temporary / side
        directory.mkdir(exist_ok=True)
        return {"TMPDIR": str(directory)}

    def _hand(self, commands: Sequence[Command], project: Path) -> Taken:
        for file in self._scratch.glob("coverage.data*"):
            file.unlink()
        taken, code, said = timed(commands, project)
        if code not in {0, 1}:
            raise RuntimeError(f"{self._package}: pytest by hand: exit code {code}: {said[-600:]}")
        return taken


def _by_turns(fleet: Callable[[], Taken], hand: Callable[[], Taken], rounds: int) -> list[Pair]:
    pairs: list[Pair] = []
    for number in range(rounds):
        if number % 2:
            taken = fleet()
            pairs.append(Pair(taken, hand()))
        else:
            taken = hand()
            pairs.append(Pair(fleet(), taken))
    return pairs


def _installation(project: Path, venv: Path) -> list[Command]:
    """Return the commands that make an environment, as a person would who knows what is needed."""
    requirements = requirements_of(project, read_pyproject(project))
    installer = Installer.find().configured()
    own = ["-e", requirements.project] if requirements.installable else []
    words = [*requirements.file_words, *own, *requirements.lines, *TOOLS]
    install = [*installer.program, "pip", "install", "--quiet", *installer.settings]
    install += ["--python", str(venv / "bin" / "python"), *words]
    env = dict(os.environ)
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    create = [*installer.program, "venv", "--quiet", "--python", OWN_BASE, str(venv)]
    return [(create, env), (install, env)]


def summary(pairs: Sequence[Pair], kind: str) -> dict[str, float]:
    """Return medians of the rounds: seconds of each side, the ratio, and the difference.

    Args:
        pairs: the rounds.
        kind: "clock" or "busy".

    """
    both = [(getattr(pair.fleet, kind), getattr(pair.hand, kind)) for pair in pairs]
    return {
        "fleet": median(ours for ours, _ in both),
        "hand": median(theirs for _, theirs in both),
        "times": median(ours / theirs for ours, theirs in both),
        "more": median(ours - theirs for ours, theirs in both),
    }


def reached(found: Mapping[str, float], *, first: bool) -> bool:
    """Whether what is aimed at was reached."""
    if first or found["hand"] >= MANY_SECONDS:
        return found["times"] <= MOST_TIMES
    return found["more"] <= MOST_MORE


def written(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page in Markdown; ``results`` are JSON data by the packages' labels."""
    dates = sorted(result["date"][:10] for result in results.values()) or ["never"]
    machine = f"{os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"
    lines = [
        INTRODUCTION,
        f"On {dates[-1]}, on a machine with {machine}, shared with other work:",
    ]
    for state, first in (("warm", False), ("first", True)):
        rows = {label: result for label, result in results.items() if result[state]}
        if rows:
            lines += ["", f"## {state.capitalize()}", "", *_table(rows, state, first=first)]
    return "\n".join(lines) + "\n"


def _table(results: Mapping[str, Mapping[str, Any]], state: str, *, first: bool) -> list[str]:
    columns = (*_COLUMNS, *(_OF_REPORT if first else ()))
    lines = [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    for label, result in results.items():
        pairs = [
            Pair(**{side: Taken(*taken) for side, taken in each.items()}) for each in result[state]
        ]
        cells = [label, f"{result['tests']:,}", str(len(pairs)), f"{result['load']:.1f}"]
        for kind in ("clock", "busy"):
            found = summary(pairs, kind)
            cells += [f"{found['hand']:.1f}", f"{found['fleet']:.1f}", f"{found['times']:.2f}"]
            cells += [f"{found['more']:+.1f}", "yes" if reached(found, first=first) else "no"]
        if reports := [pair.report.clock for pair in pairs if pair.report is not None]:
            found = summary([pair.with_report for pair in pairs], "clock")
            cells += [f"{median(reports):.1f}", f"{found['times']:.2f}"]
            cells.append("yes" if reached(found, first=first) else "no")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def in_memory() -> Path | None:
    """Return a directory in memory; None where there is none that can be written to."""
    return _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None


def race(package: Package, cache: Path, rounds: int, first_rounds: int) -> dict[str, Any]:
    """Return the rounds of one project as JSON data."""
    with (
        tempfile.TemporaryDirectory(prefix="speed-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryDirectory(dir=in_memory(), ignore_cleanup_errors=True) as temporary,
    ):
        both = Race(package, cache, Path(scratch), Path(temporary))
        warm = both.warm(rounds)
        first = both.first(first_rounds) if first_rounds else []
        tests = next(
            metric["value"]
            for metric in both.report["metrics"]
            if metric["name"] == "tests_collected"
        )
    return {
        "tests": tests,
        "load": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "warm": [_as_data(pair) for pair in warm],
        "first": [_as_data(pair) for pair in first],
    }


def _as_data(pair: Pair) -> dict[str, list[float]]:
    return {
        side: [round(seconds, 3) for seconds in taken.values()]
        for side, taken in asdict(pair).items()
        if taken is not None
    }


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="where speed.json and speed.md go")
    parser.add_argument("--only", nargs="*", default=PROJECTS, help="names of packages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first-rounds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="write the page anew, measure nothing")
    options = parser.parse_args()
    corpus = {package.name: package for package in packages()}
    if unknown := {*options.only} - corpus.keys():
        parser.error(f"not in packages.toml: {', '.join(sorted(unknown))}")
    cache = user_cache_path("aqe-corpus", appauthor=False)
    # Of both sides, wherever aqe's own cache is.
    os.environ.setdefault("UV_CACHE_DIR", str(cache / "uv"))
    options.folder.mkdir(parents=True, exist_ok=True)
    target: Path = options.folder / "speed.json"
    results = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    for name in () if options.page else options.only:
        package = corpus[name]
        results[package.label] = race(package, cache, options.rounds, options.first_rounds)
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.folder / "speed.md").write_text(written(results), encoding="utf-8")
        _say("\n".join(written({package.label: results[package.label]}).splitlines()[-7:]))
    (options.folder / "speed.md").write_text(written(results), encoding="utf-8")


if __name__ == "__main__":
    main()
