"""Follow what agents write, as it happens; stop, and go on without missing anything.

    python examples/coordination/live_watch.py [MEMORY_URL]

Needs nothing but this package: without a URL it watches a SQLite file of its own.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile

from lionagi_qe import Memory, open_memory

FLEET = "live-watch-example"


async def work(memory: Memory, agent: str) -> None:
    """Write some findings, correct one, withdraw one."""
    for number in range(3):
        await memory.store(f"aqe/findings/{agent}/{number}", {"severity": number})
        await asyncio.sleep(0.05)
    await memory.update(f"aqe/findings/{agent}/1", lambda found: {**found, "severity": 9})
    await memory.delete(f"aqe/findings/{agent}/0")
    await memory.store(f"aqe/findings/{agent}/note", "for a moment only", ttl=0.3)


async def follow(memory: Memory, since: str | None, seconds: float) -> str | None:
    """Print changes for a while; return where to go on."""
    async with memory.watch("aqe/findings/*", since, poll=0.05) as watch:
        try:
            async with asyncio.timeout(seconds):
                async for change in watch:
                    print(f"  {change.kind:<8} {change.key}  {change.value}")
        except TimeoutError:
            pass
        return watch.cursor


async def main(url: str) -> None:
    async with open_memory(url, fleet=FLEET) as ours, open_memory(url, fleet=FLEET) as theirs:
        print("while two agents work:")
        agents = asyncio.gather(work(theirs, "tester"), work(theirs, "analyst"))
        cursor = await follow(ours, None, 0.1)
        print("the watcher is away ...")
        await agents
        print("... and goes on from its cursor; what happened twice meanwhile comes once:")
        await follow(ours, cursor, 1.0)
        await ours.clear_partition("default")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(f"sqlite:///{folder}/memory.db"))
