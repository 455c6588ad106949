"""Holds the executors of ``aqe run`` against each other, on other people's projects.

    python -m tests.corpus.executors FOLDER NAME ...

Each package is examined, mutants included, here; by three workers over PostgreSQL; and on a Dask
scheduler with four workers. FOLDER gets ``executors.md``. Ends with 1 where figures differ.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path
from tests.corpus.sdist import Package, fetch, packages, unpack
from tests.corpus.sides import of_fleet
from tests.corpus.verdict import differences, in_words
from tests.dask_cluster import Cluster
from tests.markdown import table

from lionagi_qe.testing.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.corpus.sides import Figures

_AGENTS = "test-executor,coverage-analyzer,mutation-tester,quality-gate"
_LIMIT = 1800.0
_COLUMNS = (
    *("project", "tests", "lines", "mutants", "tried"),
    *("local s", "queue s", "dask s", "queue", "dask"),
)
INTRODUCTION = """`aqe run` with the agents {agents}, on source distributions of the
[corpus](corpus.md): here; by three `aqe worker` over PostgreSQL; on a Dask scheduler with four
workers of one thread. Seconds are of the whole command, each run once, environments made before,
by turns. "queue" and "dask": whether each test's outcome, lines and branches of each file, and all
figures of mutants with the survivors are those of `local`. On {day}, on a machine with {cores}
cores that did much other work at the same time (load {load:.1f} at the end): the figures are
comparable, the seconds hardly.
"""


def compared(package: Package, cache: Path, url: str, scheduler: str) -> tuple[list[str], bool]:
    """Return the row of a package, and whether all figures are equal."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        scratch = Path(folder)
        project = unpack(fetch(package, cache / "sdists"), package, scratch / "examined")

        def fleet(*options: str) -> tuple[Figures, dict[str, Any]]:
            own = scratch / secrets.token_hex(4)
            own.mkdir()
            figures, report = of_fleet(project, own, cache, _LIMIT, *options)
            if not report:
                raise RuntimeError(f"{package}: {figures.problem}")
            return figures, report

        fleet("--executor", "local")
        given = ("--agents", _AGENTS, "--parallel", "off")
        runs = {
            "local": fleet(*given, "--executor", "local"),
            "queue": fleet(*given, "--executor", "queue", "--memory", url),
            "dask": fleet(*given, "--executor", scheduler),
        }
    local, report = runs["local"]
    metrics = {metric["name"]: metric["value"] for metric in report["metrics"]}
    verdicts = {name: _verdict(runs[name], runs["local"]) for name in ("queue", "dask")}
    row = [
        *(package.label, f"{len(local.outcomes):,}", f"{local.totals['lines']:,}"),
        *(f"{metrics['mutants']:,}", f"{metrics['mutants_tried']:,}"),
        *(f"{figures.total:.1f}" for figures, _ in runs.values()),
        *verdicts.values(),
    ]
    return row, set(verdicts.values()) == {"equal"}


def _verdict(theirs: tuple[Figures, dict[str, Any]], ours: tuple[Figures, dict[str, Any]]) -> str:
    """Say what differs between two runs."""
    found = differences(ours[0], theirs[0])
    mine, other = _mutants(ours[1]), _mutants(theirs[1])
    found |= {name: f"{mine[name]}, {other[name]}" for name in mine if mine[name] != other[name]}
    if notes := [note for note in theirs[1]["notes"] if note.startswith("executor ")]:
        found["notes"] = "; ".join(notes)
    return "; ".join(in_words(found)).replace("|", r"\|") if found else "equal"


def _mutants(report: dict[str, Any]) -> dict[str, Any]:
    figures = {
        metric["name"]: metric["value"]
        for metric in report["metrics"]
        if metric["agent"] == "mutation-tester"
    }
    return figures | {"survivors": sorted(each["diff"] for each in report["survivors"])}


@contextlib.contextmanager
def workers(count: int, url: str, cache: Path, folder: Path) -> Iterator[None]:
    """Have so many ``aqe worker`` within the block."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "lionagi_qe.cli.main", "worker", url]
    with contextlib.ExitStack() as stack:
        for number in range(count):
            log = folder / f"worker-{number}.log"
            target = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(command, env=env, stderr=target, stdout=target)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            while "waiting for tasks" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield


def _written(rows: Sequence[Sequence[str]]) -> str:
    introduction = INTRODUCTION.format(
        agents=_AGENTS.replace(",", ", "),
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
    options = parser.parse_args()
    corpus = {package.name: package for package in packages()}
    if unknown := {*options.names} - corpus.keys():
        parser.error(f"not in packages.toml: {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    cache = user_cache_path("aqe-corpus", appauthor=False)
    os.environ.setdefault("LIONAGI_QE_SIGNING_KEYS", secrets.token_hex(32))
    rows: list[list[str]] = []
    equal = True
    with (
        tempfile.TemporaryDirectory(prefix="executors-") as scratch,
        contextlib.ExitStack() as all_,
    ):
        folder = Path(scratch)
        server = all_.enter_context(PostgresServer())
        cluster = Cluster(folder / "dask", {"XDG_CACHE_HOME": str(cache)})
        all_.callback(cluster.close)
        for _ in range(4):
            cluster.add_worker()
        for name in options.names:
            # Workers only while they are asked: they would do the work of no other executor.
            with workers(3, server.url, cache, folder):
                row, same = compared(corpus[name], cache, server.url, cluster.address)
            rows.append(row)
            equal = equal and same
            sys.stderr.write(f"{' | '.join(row)}\n")
            (options.folder / "executors.md").write_text(_written(rows), encoding="utf-8")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
