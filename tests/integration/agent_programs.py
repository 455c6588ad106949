"""The agents of test_agent_memory_e2e.py: small programs that run in processes of their own.

Called as ``python agent_programs.py ROLE URL [ARGUMENT ...]``; what they find out goes to standard
output, one JSON document.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from lionagi_qe import Memory, RevisionConflictError, open_memory
from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.learning.qtable import QTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.coordination import Job


async def planner(memory: Memory, module: str) -> Any:
    """Store a test plan for others to follow."""
    plan = {"module": module, "tests": [f"test_{module}_{at}" for at in range(5)]}
    revision = await memory.store(f"aqe/plans/{module}", plan, partition="planning")
    return {"revision": revision}


async def executor(memory: Memory, module: str) -> Any:
    """Wait for the plan, do its tests, store a result for each."""
    plan = await _wait_for(memory, f"aqe/plans/{module}")
    results = {
        f"aqe/results/{module}/{test}": {"test": test, "passed": not test.endswith("_3")}
        for test in plan["tests"]
    }
    await memory.store_many(results, partition="execution")
    await memory.store(f"aqe/done/{module}", True)
    return {"executed": len(results)}


async def analyzer(memory: Memory, module: str) -> Any:
    """Wait for the results and tell what failed."""
    await _wait_for(memory, f"aqe/done/{module}")
    results = await memory.search(f"aqe/results/{module}/*", partition="execution")
    failed = sorted(result["test"] for result in results.values() if not result["passed"])
    await memory.update("aqe/report", lambda report: {**report, module: failed}, default={})
    return {"failed": failed}


async def learner(memory: Memory, episodes: str) -> Any:
    """Learn by Q-learning which of two strategies pays; tell the choices and the table."""
    table = QTable(memory, "strategist", seed=7)
    choices: list[str] = []
    for _ in range(int(episodes)):
        action = await table.choose("few failures", ["rerun", "reorder"])
        choices.append(action)
        await table.learn("few failures", action, 1.0 if action == "reorder" else 0.2)
    return {"choices": choices, "table": await table.export()}


async def counter(memory: Memory, updates: str) -> Any:
    """Coordinate as quickly as it goes: count, and tell one's state to the others."""

    async def once(at: int) -> None:
        await memory.increment("aqe/shared/updates")
        await memory.store(f"aqe/states/{at % 20}", {"busy": at})

    started = asyncio.get_running_loop().time()
    for first in range(0, int(updates), 50):
        await asyncio.gather(*(once(at) for at in range(first, first + 50)))
    return {"seconds": asyncio.get_running_loop().time() - started}


async def computer(memory: Memory, name: str) -> Any:
    """Get something expensive from the cache, or make it, so that only one of many does."""
    key = f"aqe/cache/{name}"
    try:
        await memory.store(f"{key}/making", True, ttl=30, if_revision=0)
    except RevisionConflictError:
        return {"made": False, "value": await _wait_for(memory, f"{key}/value")}
    await memory.store(f"{key}/value", {"expensive": name}, ttl=60)
    return {"made": True, "value": {"expensive": name}}


async def worker(memory: Memory, name: str) -> Any:
    """Do jobs until asked to end (SIGTERM)."""
    done: list[int] = []

    async def handle(job: Job) -> Any:
        await memory.increment(f"aqe/effects/{job.payload:05}")
        done.append(job.payload)
        return {"by": name}

    working = asyncio.create_task(
        WorkQueue(memory, "tests").work(handle, concurrency=8, lease_ttl=5)
    )
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await memory.store(f"aqe/ready/{name}", True)
    await working
    return {"done": done}


async def stuck(memory: Memory, _: str) -> Any:
    """Claim a job and never end it."""
    (job,) = await WorkQueue(memory, "tests").claim(1, lease_ttl=1, wait=20)
    print(json.dumps({"claimed": job.payload}), flush=True)
    await asyncio.sleep(600)


async def leader(memory: Memory, rounds: str) -> Any:
    """Lead as often as asked; under each lease, note the token where only a leader may."""
    tokens: list[int] = []
    for _ in range(int(rounds)):
        async with Lease(memory, "leader", ttl=10) as lease:
            seen = await memory.retrieve("aqe/led", 0)
            await memory.store("aqe/led", seen + 1, fence=lease)
            tokens.append(lease.token)
    return {"tokens": tokens}


async def _wait_for(memory: Memory, key: str) -> Any:
    """Wait until an entry is there."""
    async with asyncio.timeout(30):
        async with memory.watch(key, since="start") as changes:
            async for change in changes:
                if change.kind == "stored":
                    return change.value
    raise AssertionError


ROLES: dict[str, Callable[[Memory, str], Awaitable[Any]]] = {
    role.__name__: role
    for role in (
        planner,
        executor,
        analyzer,
        learner,
        counter,
        computer,
        worker,
        stuck,
        leader,
    )
}


async def main(role: str, url: str, argument: str = "") -> None:
    """Play a role."""
    async with open_memory(url, timeout=30) as memory:
        print(json.dumps(await ROLES[role](memory, argument)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
