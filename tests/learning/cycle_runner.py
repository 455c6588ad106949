"""Runs cycles of a made-up project as ``aqe run`` would, one line of output for each: a program."""

import asyncio
import sys

from lionagi_qe import open_memory
from lionagi_qe.learning.history import Outcome
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.synthetic import synthetic_history

CYCLES = 16


async def _run(url: str, fleet: str, seed: int) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        ordering = TestOrdering(memory, "shop", seed=seed)
        done = (await ordering.policy()).cycles
        for cycle in synthetic_history("persistent", seed=4, cycles=CYCLES)[done:]:
            decided = await ordering.decide(cycle.candidates, cycle.duration / 2)
            print(cycle.number, *decided.order, flush=True)
            await ordering.settle(
                decided,
                [
                    Outcome(test.name, failed)
                    for test, failed in zip(cycle.candidates, cycle.failed, strict=True)
                ],
            )


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
