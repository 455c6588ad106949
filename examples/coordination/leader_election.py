"""Three candidates, one leader; when it falls silent another takes over, and it can't disturb.

python examples/coordination/leader_election.py [MEMORY_URL]
"""

from __future__ import annotations

import asyncio
import os
import sys

from lionagi_qe import LeaseLostError, Memory, StaleFenceError, open_memory
from lionagi_qe.coordination import Lease

KEY = "aqe/plans/today"


async def candidate(memory: Memory, name: str, silent: asyncio.Event) -> None:
    """Lead when it is our turn; the first leader stops renewing, as a paused process would."""
    try:
        async with Lease(memory, "leader", ttl=3.0, holder=name) as lease:
            print(f"{name} leads, token {lease.token}")
            await memory.store(KEY, {"by": name}, fence=lease)
            if silent.is_set():
                return
            silent.set()
            # What becomes of a process that is stopped for too long: its lease ends.
            await Lease(memory, "leader").revoke()
            while await memory.retrieve(KEY) == {"by": name}:  # noqa: ASYNC110 - another process's turn
                await asyncio.sleep(0.01)
            try:
                await memory.store(KEY, {"by": name, "late": True}, fence=lease)
            except StaleFenceError as error:
                print(f"{name} is refused: {error}")
            await asyncio.sleep(60)
    except LeaseLostError as error:
        print(f"{name} is told: {error}")


async def main(url: str) -> None:
    async with open_memory(url, fleet=f"election-{os.getpid()}") as memory:
        silent = asyncio.Event()
        await asyncio.gather(*(candidate(memory, name, silent) for name in ("ann", "ben", "cat")))
        print(f"the plan is {await memory.retrieve(KEY)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else "memory://"))
