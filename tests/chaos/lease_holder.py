"""Holds a lease and a job, and goes on writing whatever happens: ``lease_holder.py URL FLEET``.

Prints its token; for each line on stdin, what became of its attempts to write since the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from lionagi_qe import AqeError, LeaseLostError, open_memory
from lionagi_qe.coordination import Lease, WorkQueue

TTL = 1.0


async def main(url: str, fleet: str) -> None:
    outcomes: Counter[str] = Counter()
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        (job,) = await WorkQueue(memory, "jobs").claim(lease=60)
        lease = Lease(memory, "leader", ttl=TTL)
        assert await lease.try_acquire()

        async def note(what: str, call: object) -> None:
            try:
                await call  # type: ignore[misc]
            except AqeError as error:
                outcomes[f"{what}: {type(error).__name__}"] += 1
            else:
                outcomes[f"{what}: done"] += 1

        async def write() -> None:
            while True:
                await note("store", memory.store("aqe/owned", "first", fence=lease))
                await note("delete", memory.delete("aqe/none", fence=lease))
                await asyncio.sleep(0.002)

        async def hold() -> None:
            """The same with a body, which is told."""
            try:
                async with Lease(memory, "body", ttl=TTL):
                    await asyncio.Event().wait()
            except LeaseLostError:
                outcomes["body: LeaseLostError"] += 1

        tasks = [asyncio.create_task(write()), asyncio.create_task(hold())]
        print(lease.token, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            if not lease.held:
                await lease.lost.wait()
                await note("ack", job.ack("late", fence=lease))
                await asyncio.wait({tasks[1]}, timeout=10)
            print(json.dumps(outcomes), flush=True)
            outcomes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
