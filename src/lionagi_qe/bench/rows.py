"""The rows of the benchmark: what is done, by how many coroutines, and what figure counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lionagi_qe.bench.workload import GROUP
from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from lionagi_qe.bench.contender import Contender
    from lionagi_qe.bench.workload import Workload

CROWD = 64
BATCH = 1_000
JOBS = 500

Action = Callable[["Contender", "Workload", int], Awaitable[object]]


class Figure(StrEnum):
    """What a row compares."""

    RATE = "ops/s"
    P99 = "p99 ms"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``coroutines`` do ``action`` over and over, numbered from 0.

    Attributes:
        name: short, for ``--rows`` and the floors.
        title: for the report.
        action: one step; measured as a whole.
        call: what a contender must offer to take part.
        coroutines: how many run at once.
        operations: how many of what is counted one step does.
        figure: what contenders are compared by.
    """

    name: str
    title: str
    action: Action
    call: str
    coroutines: int = 1
    operations: int = 1
    figure: Figure = Figure.RATE


async def _store(contender: Contender, load: Workload, number: int) -> None:
    await contender.store(load.key(number), load.item(number))


async def _retrieve(contender: Contender, load: Workload, number: int) -> None:
    if await contender.retrieve(load.key(number)) is None:
        raise _lost(contender, load.key(number))


async def _gather(contender: Contender, load: Workload, number: int) -> None:
    items = load.items(number, BATCH)
    await asyncio.gather(*(contender.store(key, value) for key, value in items.items()))


async def _store_many(contender: Contender, load: Workload, number: int) -> None:
    await contender.store_many(load.items(number, BATCH))


async def _search(contender: Contender, load: Workload, number: int) -> None:
    prefix = load.a_group(number)
    if len(await contender.search(prefix)) != GROUP:
        raise _lost(contender, prefix)


async def _queue(contender: Contender, load: Workload, number: int) -> None:
    """Put jobs from 64 coroutines, then do them."""
    payloads = iter([load.item(number)] * JOBS)

    async def put() -> None:
        for payload in payloads:
            await contender.put_job(payload)

    await asyncio.gather(*(put() for _ in range(CROWD)))
    await contender.do_jobs(JOBS, CROWD)


def _lost(contender: Contender, key: str) -> AssertionError:
    return AssertionError(f"{contender.name} lost {key}: its figures are worth nothing")


ROWS = (
    Row("store-1", "store, one at a time", _store, "store"),
    Row("retrieve-1", "retrieve, one at a time", _retrieve, "retrieve"),
    Row("store-64", "store, 64 at once", _store, "store", CROWD),
    Row("retrieve-64", "retrieve, 64 at once", _retrieve, "retrieve", CROWD),
    Row(
        "p99-64",
        "p99 of store, 64 at once",
        _store,
        "store",
        CROWD,
        figure=Figure.P99,
    ),
    Row("gather-1000", "gather of 1,000 stores", _gather, "store", operations=BATCH),
    Row("store-many-1000", "store_many of 1,000", _store_many, "store_many", operations=BATCH),
    Row("search-50", "search of 50 entries", _search, "search"),
    Row(
        "queue-500",
        "500 jobs put and done",
        _queue,
        "put_job",
        operations=JOBS,
    ),
)


def rows_named(names: str) -> list[Row]:
    """Return the rows of a comma-separated list, in the benchmark's order; empty: all.

    Raises:
        InvalidArgumentError: no row has such a name.

    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {row.name for row in ROWS}
    if wanted - known:
        msg = f"no row {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}"
        raise InvalidArgumentError(msg)
    return [row for row in ROWS if not wanted or row.name in wanted]
