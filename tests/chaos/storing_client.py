"""A client that stores from 64 coroutines until it is killed, and tells what was acknowledged.

Called with a memory's URL and a fleet. Each acknowledged store is a line "worker number" on
standard output, written by one system call at once, so that it survives the client.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from lionagi_qe import Memory, open_memory

WORKERS = 64
KEYS = 20


def key(worker: int, number: int) -> str:
    """Return the key of a worker's store: its keys are overwritten in turn."""
    return f"aqe/kill/{worker:02}/{number % KEYS:02}"


async def _store_for_ever(memory: Memory, worker: int) -> None:
    for number in itertools.count():
        await memory.store(key(worker, number), {"number": number})
        os.write(sys.stdout.fileno(), b"%d %d\n" % (worker, number))


async def _main(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        await asyncio.gather(*(_store_for_ever(memory, worker) for worker in range(WORKERS)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
