"""Measures everything on servers of its own and writes the page of results with its charts.

    python tests/benchmarks/publish.py FOLDER [--rounds N] [--largest N]

FOLDER gets ``benchmarks.md`` and, in ``benchmarks/``, the charts and each round's figures as JSON.
The servers are those of the test kit: the ones that ``TEST_POSTGRES_URL`` and ``TEST_REDIS_URL``
name, else new ones with durability as they come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.bench.chart import draw_rows, draw_sweep
from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.history import append, run_of
from lionagi_qe.bench.measure import Effort
from lionagi_qe.bench.report import context
from lionagi_qe.bench.rows import ROWS
from lionagi_qe.bench.run import Report, run_rows
from lionagi_qe.bench.sweep import SWEEPS, SweepReport, run_sweep
from lionagi_qe.bench.workload import Workload
from lionagi_qe.testing.servers import find_postgres, find_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.bench.results import RowResult

INTRODUCTION = """# Benchmarks

Our memory, with revisions, partitions, expiry and indexes on, beside the plain driver that writes
the same JSON into a plain table or string, and beside other stores that were installed. All do
the same work on the same values (about 300 bytes of JSON) in one process against one server, in
turn, round after round. Durability is the server's own. "To driver" is the median over the rounds
of a contender's figure divided by the plain driver's in the same round; "ours to it" is ours
divided by the contender's. In the row of the p99 the ratios are those of the p99, the larger the
better. The plain drivers are asyncpg with a pool of 10, redis-py with a blocking pool of 64, and
apsw by its own asyncio interface, which works in a thread.

Each section names the command that wrote it, and how busy the machine was with other work;
`make bench BENCH_OUT=docs` writes the page anew. "asyncpg, no resets" is a pool told to spare the
second round trip that resets a connection after each call, as ours does; "apsw, on the loop" calls
SQLite on the event loop itself, where nothing else runs meanwhile. On a server of your own:

    aqe bench postgresql://user@host/database --json figures.json --chart chart.png

It needs the right to make a schema there (on Redis, to write keys), puts load on the server, and
removes what it made.

Recall has pages of its own: what it takes beside LangGraph's stores is in
[recall-speed.md](recall-speed.md), by `make recall-speed`, and how well it finds what is meant in
[recall.md](recall.md#vectors), by `make recall-quality`.
"""


def servers(stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Yield a title and a URL for each server, started one after the other."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))
    yield "SQLite", f"sqlite:///{folder}/memory.db"
    postgres = stack.enter_context(find_postgres())
    yield "PostgreSQL", stack.enter_context(postgres.fresh_database())
    yield "Redis", stack.enter_context(find_redis()).url


def say(text: str) -> None:
    """Tell the progress."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--largest", type=int, default=1_000_000)
    options = parser.parse_args()
    charts: Path = options.folder / "benchmarks"
    charts.mkdir(parents=True, exist_ok=True)
    page = [INTRODUCTION]
    with ExitStack() as stack:
        for title, url in servers(stack):
            rows = run_rows(url, ROWS, Workload(), Effort(options.rounds, 0.5), say=say)
            report = asyncio.run(rows)
            append(charts / "history.jsonl", run_of(report, Path.cwd()))
            page += [f"## {title}\n", *section(report, title.lower(), charts)]
            for sweep in SWEEPS.values():
                sizes = run_sweep(
                    url, sweep, Effort(3, 0.3), largest=options.largest, entries=10_000, say=say
                )
                page += section(asyncio.run(sizes), f"{title.lower()}-{sweep.name}", charts)
    (options.folder / "benchmarks.md").write_text("\n".join(page), encoding="utf-8")


def section(report: Report | SweepReport, name: str, charts: Path) -> list[str]:
    """Write a report's chart and figures; return its part of the page."""
    facts = json.dumps(report.as_json(), indent=1)
    (charts / f"{name}.json").write_text(f"{facts}\n", encoding="utf-8")
    chart = charts / f"{name}.png"
    link = f"{chart.parent.name}/{name}"
    if isinstance(report, SweepReport):
        draw_sweep(report, chart)
        return [f"![Rates by {report.sweep.unit}]({link}.png)\n"]
    draw_rows(report, chart)
    lines = [f"- {line}" for line in context(report)]
    return [
        *lines,
        f"- Each round's figures: [{name}.json]({link}.json)\n",
        *table(report.rows),
        f"![Times the plain driver]({link}.png)\n",
    ]


def table(rows: list[RowResult]) -> list[str]:
    """Return the rows as a table in Markdown."""
    lines = [
        "| work | who | ops/s | p50 ms | p99 ms | to driver | ours to it |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for result in rows:
        ours = result.of(Kind.OURS)
        for course in result.courses:
            to_driver = None if course.kind is Kind.DRIVER else result.to_driver(course)
            ours_to_it = None
            if ours is not None and ours is not course:
                ours_to_it = result.ratio(ours, course)
            lines.append(
                f"| {result.row.title} | {course.name} | {course.rate:,.0f} | {course.p50:.3f} "
                f"| {course.p99:.3f} | {times(to_driver)} | {times(ours_to_it)} |"
            )
    return [*lines, ""]


def times(ratio: float | None) -> str:
    """Return a ratio as text."""
    return "" if ratio is None else f"{ratio:.2f}x"


if __name__ == "__main__":
    main()
