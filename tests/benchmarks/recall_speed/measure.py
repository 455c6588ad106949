"""Times our store beside LangGraph's on the same vectors: ``make recall-speed``.

    python -m tests.benchmarks.recall_speed.measure FOLDER [--entries N ...] [--rounds N]

FOLDER gets ``recall-speed.md``.

Notes of made-up words with made-up vectors in clusters are put into each store; 64 coroutines then
put others and search, each contender for some seconds by turns, round after round. Ours indexes
when it is searched: what that takes is counted with its puts. A ratio is the median of the rounds'
own, in seconds of the processors: of this process, and of the server's where there is one.
Recall@10 is what share of the ten nearest notes, found by exact search, a store returns.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from tests.benchmarks.recall_speed.contenders import (
    langgraph_postgres,
    langgraph_sqlite,
    ours,
)
from tests.benchmarks.recall_speed.data import TOP, made
from tests.benchmarks.recall_speed.servers import pgvector_server, redis_server
from tests.benchmarks.recall_speed.spreading import spread
from tests.benchmarks.recall_speed.statements import measure_statements
from tests.benchmarks.recall_speed.words import measure_words

from lionagi_qe.bench.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextlib import AbstractAsyncContextManager

    from tests.benchmarks.recall_speed.contenders import Contender
    from tests.benchmarks.recall_speed.data import Notes

PUTS = 640
SEARCHES = 320
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "redis": "Redis"}
PAGE = Path(__file__).with_name("page.md")


@dataclass(slots=True)
class Taken:
    """Milliseconds a call, of each round: of the processors, and by the clock."""

    busy: list[float] = field(default_factory=list[float])
    clock: list[float] = field(default_factory=list[float])


async def timed(contender: Contender, count: int, work: Awaitable[None], taken: Taken) -> None:
    """Note what some work took."""
    busy, clock = contender.seconds(), time.perf_counter()
    await work
    taken.busy.append((contender.seconds() - busy) / count * 1_000)
    taken.clock.append((time.perf_counter() - clock) / count * 1_000)


async def put_some(contender: Contender, some: range) -> None:
    """Put notes, and have them ready to be found."""
    await spread(some, contender.put)
    await contender.settle()


async def search_some(contender: Contender, some: range, found: dict[int, list[str]]) -> None:
    """Search, and keep what was found."""

    async def search(query: int) -> None:
        found[query] = await contender.search(query)

    await spread(some, search)


async def compare(
    contenders: list[Contender], notes: Notes, entries: int, rounds: int
) -> list[str]:
    """Measure; return rows of the table."""
    puts, searches = [Taken() for _ in contenders], [Taken() for _ in contenders]
    recalls: list[list[float]] = [[] for _ in contenders]
    for contender in contenders:
        began = time.perf_counter()
        await contender.fill(range(entries))
        print(f"{contender.name}: {entries:,} stored in {time.perf_counter() - began:.1f} s")
        await search_some(contender, range(8), {})
    for number in range(rounds):
        for at in _turns(number, len(contenders)):
            found: dict[int, list[str]] = {}
            some = range(number * SEARCHES, (number + 1) * SEARCHES)
            work = search_some(contenders[at], some, found)
            await timed(contenders[at], SEARCHES, work, searches[at])
            there = entries + number * PUTS
            recalls[at] += [
                len(notes.exact(query, there) & {*keys}) / TOP for query, keys in found.items()
            ]
        for at in _turns(number, len(contenders)):
            some = range(entries + number * PUTS, entries + (number + 1) * PUTS)
            await timed(contenders[at], PUTS, put_some(contenders[at], some), puts[at])
    rows: list[str] = []
    for at, contender in enumerate(contenders):
        for work, taken in (("put", puts), ("search", searches)):
            recall = f"{mean(recalls[at]):.3f}" if work == "search" else ""
            rows.append(
                f"| {entries:,} | {work} | {contender.name} | {median(taken[at].busy):.3f} "
                f"| {median(taken[at].clock):.3f} | {recall} | {_ratios(taken[at], taken[0])} |"
            )
    return rows


def _turns(number: int, count: int) -> list[int]:
    order = list(range(count))
    return order[number % count :] + order[: number % count]


def _ratios(theirs: Taken, our: Taken) -> str:
    if theirs is our:
        return "|"
    busy = median(a / b for a, b in zip(theirs.busy, our.busy, strict=True))
    clock = median(a / b for a, b in zip(theirs.clock, our.clock, strict=True))
    return f"{busy:.2f}x | {clock:.2f}x"


async def measure(system: str, entries: int, rounds: int) -> tuple[list[str], str]:
    """Measure on one system: beside LangGraph's store, and by words alone."""
    notes = made(entries + rounds * PUTS, max(rounds * SEARCHES, 8))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, process = f"sqlite:///{folder}/ours.db", None
        theirs: list[AbstractAsyncContextManager[Contender]] = []
        if system == "sqlite":
            theirs.append(langgraph_sqlite(folder / "theirs.db", notes))
        elif system == "redis":
            url, process = stack.enter_context(redis_server())
        else:
            url, process = stack.enter_context(pgvector_server())
            theirs.append(langgraph_postgres(url, notes, process))
        name = TITLES[system]
        opening = [ours(f"ours, {name}", url, notes, process), *theirs]
        contenders = [await stack.enter_async_context(each) for each in opening]
        rows = await compare(contenders, notes, entries, rounds)
        if system == "sqlite":
            floor = folder / "floor.db"
            rows.append(await measure_statements(floor, notes, entries=entries, rounds=rounds))
        return rows, await measure_words(
            name, url, notes, entries=entries, queries=SEARCHES, server=process
        )


def main() -> None:
    """Measure, write the page and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=TITLES, default=list(TITLES))
    asked = parser.parse_args()
    rows: list[str] = []
    words: list[str] = []
    for system in asked.systems:
        for entries in asked.entries:
            found, by_words = asyncio.run(measure(system, entries, asked.rounds))
            rows += found
            words.append(by_words)
    machine = describe_machine()
    page = PAGE.read_text(encoding="utf-8").format(
        processor=machine["processor"],
        cores=machine["cores"],
        python=machine["python"],
        date=machine["date"][:10],
        arguments=shlex.join(sys.argv[2:]),
        rounds=asked.rounds,
        busy=f"{machine['load_average'][0]:.1f}",
        rows="\n".join(rows),
        words="\n".join(words),
    )
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "recall-speed.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
