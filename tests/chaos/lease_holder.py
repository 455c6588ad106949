"""Holds a lease and a job, and goes on writing whatever happens: ``lease_holder.py URL FLEET``.

Prints its token; then, for each line on stdin, what became of its attempts to write since the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from lionagi_qe import AqeError, LeaseLostError, Memory, open_memory
from lionagi_qe.coordination import Job, Lease, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable

TTL = 1.5
ROUNDS = 3


class Holder:
    def __init__(self, memory: Memory, lease: Lease, job: Job) -> None:
        self.memory = memory
        self.lease = lease
        self.job = job
        self.outcomes: Counter[str] = Counter()
        self.round_done = asyncio.Event()
        self.inside = asyncio.Event()

    async def write(self) -> None:
        while True:
            await self.note("store", self.memory.store("aqe/owned", "first", fence=self.lease))
            await self.note("delete", self.memory.delete("aqe/none", fence=self.lease))
            self.round_done.set()
            await asyncio.sleep(0.002)

    async def hold_with_a_body(self) -> None:
        try:
            async with Lease(self.memory, "body", ttl=TTL):
                self.inside.set()
                await asyncio.Event().wait()
        except LeaseLostError:
            self.outcomes["body: LeaseLostError"] += 1

    async def note(self, what: str, call: Awaitable[Any]) -> None:
        try:
            await call
        except AqeError as error:
            self.outcomes[f"{what}: {type(error).__name__}"] += 1
        else:
            self.outcomes[f"{what}: done"] += 1

    async def report(self, body: asyncio.Task[None]) -> str:
        for _ in range(ROUNDS):
            self.round_done.clear()
            await self.round_done.wait()
        if self.lease.lost.is_set():
            await self.note("ack", self.job.ack("late", fence=self.lease))
            await asyncio.wait({body}, timeout=10)
        told = json.dumps(self.outcomes)
        self.outcomes.clear()
        return told


async def main(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        (job,) = await WorkQueue(memory, "jobs").claim(lease_ttl=60)
        lease = Lease(memory, "leader", ttl=TTL)
        await lease.acquire()
        holder = Holder(memory, lease, job)
        writing = asyncio.create_task(holder.write())
        body = asyncio.create_task(holder.hold_with_a_body())
        await holder.inside.wait()
        print(lease.token, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(await holder.report(body), flush=True)
        for task in (writing, body):
            task.cancel()
        await asyncio.gather(writing, body, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
