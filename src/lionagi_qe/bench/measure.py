"""Measuring: contenders in turn, round after round, so that a noisy moment meets all alike."""

from __future__ import annotations

import asyncio
import gc
import itertools
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.results import Course, RowResult, Sample

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from lionagi_qe.bench.arena import Arena
    from lionagi_qe.bench.contender import Contender
    from lionagi_qe.bench.rows import Row
    from lionagi_qe.bench.workload import Workload

_WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: so many rounds, in each so many seconds a contender and row."""

    rounds: int = 5
    seconds: float = 0.5


@asynccontextmanager
async def prepared(
    arena: Arena,
    load: Workload,
    say: Callable[[str], None],
    kinds: frozenset[Kind] = frozenset(Kind),
) -> AsyncGenerator[list[Contender]]:
    """Open the contenders of these kinds, and fill them with the workload's entries."""
    contenders = [contender for contender in arena.contenders() if contender.kind in kinds]
    opened: list[Contender] = []
    try:
        for contender in contenders:
            say(f"opening {contender.name}")
            await contender.open()
            opened.append(contender)
            if contender.offers("store_many"):
                say(f"filling {contender.name} with {load.entries:,} entries")
                await load.fill(contender)
        await arena.settle()
        yield contenders
    finally:
        for contender in opened:
            await contender.close()


async def measure(
    row: Row,
    contenders: Sequence[Contender],
    load: Workload,
    effort: Effort,
    say: Callable[[str], None],
) -> RowResult:
    """Measure a row for all who can take part in it."""
    fit = [contender for contender in contenders if contender.offers(row.call)]
    numbers = {contender.name: itertools.count() for contender in fit}
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in fit}
    with _without_old_objects():
        for contender in fit:
            say(f"{row.title}: {contender.name} warms up")
            warm_up = min(_WARM_UP, effort.seconds)
            await _sample(row, contender, load, numbers[contender.name], warm_up)
        for at in range(1, effort.rounds + 1):
            for contender in fit:
                say(f"{row.title}: {contender.name}, round {at} of {effort.rounds}")
                done = await _sample(row, contender, load, numbers[contender.name], effort.seconds)
                samples[contender.name].append(done)
    return RowResult(
        row, [Course(contender.name, contender.kind, samples[contender.name]) for contender in fit]
    )


@contextmanager
def _without_old_objects() -> Generator[None]:
    """Keep what the program holds already out of garbage collections meanwhile."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _sample(
    row: Row, contender: Contender, load: Workload, numbers: itertools.count[int], seconds: float
) -> Sample:
    """Let the row's coroutines work until the time is up, each step that was begun included."""
    steps: list[float] = []
    step, is_right = row.action(contender, load), row.is_right

    async def work() -> None:
        began = perf_counter()
        while began < end:
            found = await step(next(numbers))
            ended = perf_counter()
            steps.append(ended - began)
            began = ended
            if is_right is not None and not is_right(found):
                msg = f"{contender.name} lost entries: its figures are worth nothing"
                raise AssertionError(msg)

    # Nobody pays for another's garbage.
    gc.collect()
    start = perf_counter()
    end = start + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(row.coroutines):
            group.create_task(work())
    return Sample.of(steps, len(steps) * row.operations / (perf_counter() - start))
