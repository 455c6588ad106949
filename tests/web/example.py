"""The example project's memory after some runs of the fleet, with agents at work beside them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lionagi_qe.coordination import Lease, NewJob, Presence, WorkQueue
from lionagi_qe.fleet import examine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.persistence import Memory

_STOREFRONT = Path(__file__).parents[2] / "examples" / "storefront"
_LONG = 3_600.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What pictures are taken of.

    Attributes:
        dead_job: the id of a job that died.
        test: the id of a test that failed.
    """

    dead_job: str
    test: str


@asynccontextmanager
async def example(memory: Memory) -> AsyncGenerator[Shown]:
    """Examine the example project, put jobs, take leases; they last as long as the block."""
    await _examine(memory)
    dead = await _put_jobs(memory)
    await memory.store_many(
        {
            f"aqe/plans/release-{at}": {"step": at, "owner": "planner", "state": "planned"}
            for at in range(40)
        }
    )
    await memory.store("aqe/sessions/7", {"user": "ann"}, ttl=_LONG, partition="sessions")
    run = "20260807T101500.000000Z-0a1b2c"
    root = f"aqe/work/storefront/{run}"
    agents = ["test-executor", "coverage-analyzer", "static-analyzer", "mutation-tester"]
    await memory.store(f"{root}/record", {"run": run, "agents": agents})
    for agent in agents[:2]:
        await memory.store(f"{root}/results/{agent}", {"seconds": 1.5, "spent": 2.0})
    async with (
        Lease(memory, "deployer", ttl=_LONG, holder="ci-7"),
        Lease(memory, "schema/migrate", ttl=_LONG, holder="release-42"),
        Presence(memory, "reviewer-1", info={"doing": "reviews"}),
        Presence(memory, "reviewer-2", info={"doing": "reviews"}),
        Presence(memory, run, group="runs"),
    ):
        yield Shown(dead, await _failed_test(memory))


async def _examine(memory: Memory) -> None:
    with TemporaryDirectory() as scratch:
        project = Path(scratch) / "storefront"
        copytree(_STOREFRONT, project)
        for at in range(4):
            if at == 2:
                tests = next((project / "tests").glob("test_*.py"))
                text = tests.read_text(encoding="utf-8")
                tests.write_text(text.replace("assert ", "assert not ", 1), encoding="utf-8")
            await examine(project, memory=memory)


async def _put_jobs(memory: Memory) -> str:
    queue = WorkQueue(memory, "reviews", max_attempts=1)
    for at, host in enumerate(["api", "api", "mirror"]):
        dead = await queue.put({"file": f"src/cart_{at}.py", "commit": "0123abc"})
        (job,) = await queue.claim()
        await job.fail(
            "Traceback (most recent call last):\n"
            f'  File "review.py", line {31 + at}, in review\n    answer = await ask(url)\n'
            f"TimeoutError: no answer from https://bot:secret@{host}.example/v1 after {at + 30} s"
        )
    for at in range(3):
        await queue.put({"file": f"src/done_{at}.py"})
        (job,) = await queue.claim()
        await job.ack({"verdict": "approved", "comments": at})
    for at in range(2):
        await queue.put({"file": f"src/slow_{at}.py"})
        (job,) = await queue.claim(lease_ttl=_LONG)
        await job.progress({"done": 3 + at, "of": 10})
    await queue.put_many([NewJob({"file": f"src/m{at}.py"}, priority=at % 3) for at in range(70)])
    await queue.put({"file": "src/later.py"}, delay=_LONG)
    await queue.schedule("nightly", cron="0 3 * * *", timezone="Europe/Berlin", payload={"all": 1})
    await WorkQueue(memory, "mails").put({"to": "ann"})
    return dead


async def _failed_test(memory: Memory) -> str:
    async for entry in memory.scan("aqe/tests/storefront/"):
        if entry.value["records"][-1]["outcome"] == "failed":
            return str(entry.value["id"])
    msg = "no test of the example failed, as was planted"
    raise LookupError(msg)
