"""Calls are begun when they are due, whether or not earlier ones were answered.

A generator that waits for an answer before it sends the next call asks least of a server while that
stalls, and measures the stall once instead of once for each caller who would have come meanwhile:
"coordinated omission" (Gil Tene, "How NOT to Measure Latency"; wrk2 and HdrHistogram were made
against it). So each latency here is counted from when the call was due.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.load.samples import NOT_BEGUN, UNANSWERED

from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.load.plan import Arrival
    from tests.load.samples import SampleWriter

# Calls that are begun and have no answer yet. Above it a call counts as one that waits for ever.
MOST_OPEN = 2_000


class OpenLoop:
    """Makes calls at their due times, and notes how long each took from then on.

    Args:
        call: makes one.
        samples: where its latency goes.
        most_open: see MOST_OPEN.
    """

    def __init__(
        self,
        call: Callable[[Arrival], Awaitable[None]],
        samples: SampleWriter,
        *,
        most_open: int = MOST_OPEN,
    ) -> None:
        self._call = call
        self._samples = samples
        self._most_open = most_open
        self._open: dict[asyncio.Task[None], Arrival] = {}
        self._began = 0.0

    @property
    def open(self) -> int:
        """How many calls are under way."""
        return len(self._open)

    async def run(self, arrivals: Iterable[Arrival], began: float, patience: float) -> None:
        """Make the calls; ``began`` is the loop's time of the run's beginning.

        Those that are open at the end get ``patience`` seconds to be answered.
        """
        loop = asyncio.get_running_loop()
        self._began = began
        for arrival in arrivals:
            if (early := began + arrival.at - loop.time()) > 0:
                await asyncio.sleep(early)
            if len(self._open) >= self._most_open:
                # Lets the calls go on, which have the loop as well.
                await asyncio.sleep(0)
                self._lost(arrival, NOT_BEGUN)
                continue
            task = loop.create_task(self._make(arrival))
            self._open[task] = arrival
            task.add_done_callback(self._end)
        await self._settle(patience)

    async def _make(self, arrival: Arrival) -> None:
        clock = asyncio.get_running_loop().time
        due = self._began + arrival.at
        began = clock()
        outcome = "ok"
        try:
            await self._call(arrival)
        except AqeError as error:
            outcome = type(error).__name__
        self._samples.add(
            arrival.kind,
            arrival.at,
            latency=clock() - due,
            delay=began - due,
            outcome=outcome,
        )

    def _end(self, task: asyncio.Task[None]) -> None:
        arrival = self._open.pop(task)
        if task.cancelled():
            self._lost(arrival, UNANSWERED)
        elif (error := task.exception()) is not None:
            # No refusal of the memory's: a fault of ours or of the library.
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"a call of the kind {arrival.kind!r} failed", "exception": error}
            )
            self._samples.add(arrival.kind, arrival.at, latency=0, outcome=type(error).__name__)

    def _lost(self, arrival: Arrival, outcome: str) -> None:
        self._samples.add(arrival.kind, arrival.at, latency=0, outcome=outcome)

    async def _settle(self, patience: float) -> None:
        if self._open:
            _, left = await asyncio.wait(list(self._open), timeout=patience)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
