"""A process of a load: ``python -m tests.load.client CONFIGURATION`` (JSON, see ``Client``).

It says "ready" once its agents are there, waits for a line with the time at which the run begins,
by the monotonic clock that all processes of a machine share, and ends soon after the last call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from tests.load.agents import Agents
from tests.load.open_loop import OpenLoop
from tests.load.plan import Plan
from tests.load.samples import SampleWriter

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT = 10.0
_PATIENCE = TIMEOUT + 2.0


@dataclass(frozen=True)
class Client:
    """How a process is configured.

    Attributes:
        url: of the memory.
        cache: of a cache in front of it, if any.
        fleet: its own for each run.
        process: its number.
        folder: where it writes what it measures.
        plan: as JSON data.
    """

    url: str
    cache: str | None
    fleet: str
    process: int
    folder: str
    plan: dict[str, Any]


async def main(client: Client) -> None:
    """Do what the plan says, and leave nothing behind."""
    plan, loop = Plan.from_json(client.plan), asyncio.get_running_loop()
    folder = Path(client.folder)
    async with _begun() as beginning:
        memory = open_memory(client.url, cache=client.cache, fleet=client.fleet, timeout=TIMEOUT)
        with SampleWriter(folder / f"client-{client.process}.samples") as samples:
            async with memory:
                agents = Agents(memory, plan, client.process, samples)
                async with agents:
                    print("ready", flush=True)
                    began = agents.began = await beginning
                    calls = OpenLoop(agents.call, samples)
                    health = asyncio.create_task(_sample(client, plan, calls, agents, began))
                    await calls.run(plan.arrivals(client.process), began, _PATIENCE)
                    # Watches and workers are given time to be told of the last calls.
                    end = began + plan.seconds + min(plan.every, 1.0)
                    await asyncio.sleep(max(0.0, end - loop.time()))
                    health.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await health
    await _leave_nothing()


@contextlib.asynccontextmanager
async def _begun() -> AsyncIterator[asyncio.Future[float]]:
    """Read the time of the beginning from standard input, which is the only line there."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[float] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        line = sys.stdin.readline()
        if line:
            told.set_result(float(line))
        else:
            told.set_exception(EOFError("whoever started this process has gone"))

    loop.add_reader(sys.stdin, read)
    try:
        yield told
    finally:
        loop.remove_reader(sys.stdin)
        told.cancel()


async def _sample(
    client: Client, plan: Plan, calls: OpenLoop, agents: Agents, began: float
) -> None:
    """Write what the process holds, every so many seconds of the run."""
    loop, own = asyncio.get_running_loop(), psutil.Process()
    path = Path(client.folder) / f"client-{client.process}.health"
    number = 0
    with path.open("w", encoding="utf-8") as file:
        while True:
            await asyncio.sleep(max(0.0, began + number * plan.every - loop.time()))
            number += 1
            with own.oneshot():
                found = {
                    "at": loop.time() - began,
                    "rss": own.memory_info().rss / 2**20,
                    "files": own.num_fds(),
                    "threads": own.num_threads(),
                    # Those of the calls that are under way come and go with the schedule.
                    "tasks": len(asyncio.all_tasks()) - calls.open - agents.passing,
                    "open": calls.open,
                }
            file.write(json.dumps(found) + "\n")
            file.flush()


async def _leave_nothing() -> None:
    """Raise unless tasks, threads and connections ended with the memory."""
    for _ in range(50):
        tasks = [str(each) for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        connections = psutil.Process().net_connections("tcp")
        if not tasks and not connections:
            break
        await asyncio.sleep(0.02)
    threads = [
        each.name
        for each in threading.enumerate()
        if each is not threading.main_thread() and not each.name.startswith("asyncio")
    ]
    if tasks or connections or threads:
        raise RuntimeError(f"left over: {tasks} {threads} {connections}")


if __name__ == "__main__":
    asyncio.run(main(Client(**json.loads(sys.argv[1]))))
