"""Forks workers on request, since to start an interpreter for each would take too long.

Run as ``coordination_worker.py ROLE URL FLEET [FOLDER]``: for each line on stdin forks a child that
plays the role, and prints its process number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from lionagi_qe import JobLostError, LeaseLostError, Memory, open_memory
from lionagi_qe.coordination import Job, Lease, WorkQueue

LEASE = 1.0
BATCH = 20
CONTENDERS = 4


async def drain(memory: Memory, folder: str) -> None:
    """Do jobs: note each on a line of a file of our own, then acknowledge it."""
    queue = WorkQueue(memory, "chaos", result_ttl=60)
    notes = os.open(Path(folder) / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        jobs = await queue.claim(BATCH, lease_ttl=LEASE, wait=1.0)
        for job in jobs:
            await asyncio.sleep(0.002)
            os.write(notes, f"{job.payload} {job.attempt} {job.priority}\n".encode())
        await asyncio.gather(*map(acknowledge, jobs))


async def acknowledge(job: Job) -> None:
    try:
        await job.ack()
    except JobLostError:
        # Then another does it again.
        return


async def contend(memory: Memory, _folder: str) -> None:
    """Take turns, each noted in the store, fenced."""

    async def contender() -> None:
        while True:
            try:
                async with Lease(memory, "turn", ttl=LEASE) as lease:
                    for event in ("in", "out"):
                        await memory.update(
                            "aqe/history",
                            lambda history, event=event, token=lease.token: [
                                *history,
                                [event, token],
                            ],
                            default=[],
                            fence=lease,
                        )
            except LeaseLostError:
                continue

    await asyncio.gather(*(contender() for _ in range(CONTENDERS)))


async def play(role: str, url: str, fleet: str, folder: str) -> None:
    async with open_memory(url, fleet=fleet, timeout=30, cleanup_interval=None) as memory:
        await {"drain": drain, "contend": contend}[role](memory, folder)


def main() -> None:
    role, url, fleet, *folder = sys.argv[1:]
    # Made, not opened: it imports the driver, which would take each child longer than it lives.
    open_memory(url, fleet=fleet)
    # Children that were killed need nobody to ask for their end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children: list[int] = []
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(play(role, url, fleet, folder[0] if folder else ""))
            os._exit(0)
        children.append(child)
        print(child, flush=True)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
