"""The rows of the benchmark: what is done, by how many coroutines, and what figure counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.workload import GROUP
from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from lionagi_qe.bench.contender import Contender
    from lionagi_qe.bench.workload import Workload

CROWD = 64
BATCH = 1_000
JOBS = 500

Step = Callable[[int], Awaitable[object]]
Action = Callable[["Contender", "Workload"], Step]


class Figure(StrEnum):
    """What a row compares."""

    RATE = "ops/s"
    P99 = "p99 ms"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``coroutines`` do steps of ``action`` over and over, numbered from 0.

    Attributes:
        name: short, for ``--rows`` and the floors.
        title: for the report.
        action: returns what begins a step; measured until what that returns has been awaited.
        call: what a contender must offer to take part.
        coroutines: how many run at once.
        operations: how many of what is counted one step does.
        figure: what contenders are compared by.
        is_right: what a step must have come to, if anything.
    """

    name: str
    title: str
    action: Action
    call: str
    coroutines: int = 1
    operations: int = 1
    figure: Figure = Figure.RATE
    is_right: Callable[[Any], bool] | None = None


# What a step returns is awaited by whoever measures: no coroutine of ours in between.


def _store(contender: Contender, load: Workload) -> Step:
    store, key, item = contender.store, load.key, load.item
    return lambda number: store(key(number), item(number))


def _retrieve(contender: Contender, load: Workload) -> Step:
    retrieve, key = contender.retrieve, load.key
    return lambda number: retrieve(key(number))


def _gather(contender: Contender, load: Workload) -> Step:
    def begin(number: int) -> Awaitable[object]:
        items = load.items(number, BATCH)
        return asyncio.gather(*map(contender.store, items, items.values()))

    return begin


def _store_many(contender: Contender, load: Workload) -> Step:
    return lambda number: contender.store_many(load.items(number, BATCH))


def _search(contender: Contender, load: Workload) -> Step:
    return lambda number: contender.search(load.a_group(number))


def _queue(contender: Contender, load: Workload) -> Step:
    """Put jobs from 64 coroutines, then do them."""

    async def put_and_do(number: int) -> None:
        payloads = iter([load.item(number)] * JOBS)

        async def put() -> None:
            for payload in payloads:
                await contender.put_job(payload)

        await asyncio.gather(*(put() for _ in range(CROWD)))
        await contender.do_jobs(JOBS, CROWD)

    return put_and_do


def _is_there(value: object) -> bool:
    return value is not None


def _is_a_group(entries: Mapping[str, Any]) -> bool:
    return len(entries) == GROUP


ROWS = (
    Row("store-1", "store, one at a time", _store, "store"),
    Row("retrieve-1", "retrieve, one at a time", _retrieve, "retrieve", is_right=_is_there),
    Row("store-64", "store, 64 at once", _store, "store", CROWD),
    Row("retrieve-64", "retrieve, 64 at once", _retrieve, "retrieve", CROWD, is_right=_is_there),
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
    Row("search-50", "search of 50 entries", _search, "search", is_right=_is_a_group),
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
