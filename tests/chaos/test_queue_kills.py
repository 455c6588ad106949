"""Workers killed at random lose no job; contenders killed at random never hold at once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Generator

WORKER = Path(__file__).with_name("coordination_worker.py")
WORKERS = 8
JOBS = 10_000
KILL_EVERY = 0.3
TURNS = 100
SECONDS_TO_END = 120
# As in the worker.
BATCH = 20

pytestmark = pytest.mark.slow


class Nursery:
    """Worker processes, of which one can be killed and replaced."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.workers: list[int] = []
        self.kills = 0

    def start(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.workers.append(int(self._process.stdout.readline()))

    def replace_one(self) -> None:
        victim = self.workers.pop(random.randrange(len(self.workers)))
        os.kill(victim, signal.SIGKILL)
        self.kills += 1
        self.start()


@contextmanager
def nursery(count: int, *arguments: object) -> Generator[Nursery]:
    with subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        found = Nursery(process)
        for _ in range(count):
            found.start()
        yield found
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


async def test_no_job_is_lost_with_its_worker(url: str, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    effects.mkdir()
    fleet = f"kills-{uuid.uuid4().hex[:12]}"
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        queue = WorkQueue(memory, "chaos", max_attempts=50)
        await queue.put_many([NewJob(at, priority=at % 3) for at in range(JOBS)])
        with nursery(WORKERS, "drain", url, fleet, effects) as workers:
            async with asyncio.timeout(SECONDS_TO_END):
                while (await queue.stats()).done < JOBS:
                    await asyncio.sleep(KILL_EVERY)
                    workers.replace_one()
        stats = await queue.stats()
    assert (stats.done, stats.dead, stats.ready, stats.claimed) == (JOBS, 0, 0, 0)

    done = [
        [tuple(map(int, line.split())) for line in notes.read_text().splitlines()]
        for notes in effects.iterdir()
    ]
    attempts: defaultdict[int, list[int]] = defaultdict(list)
    for worker in done:
        for job, attempt, _ in worker:
            attempts[job].append(attempt)
    assert attempts.keys() == set(range(JOBS))
    # Twice only in different attempts: the lease of the earlier had ended.
    for job, tried in attempts.items():
        assert len(set(tried)) == len(tried), f"job {job} was in two hands: attempts {tried}"
    # A worker sees the priorities in order; only jobs of those killed come back out of it.
    for worker in done:
        firsts = [priority for _, attempt, priority in worker if attempt == 1]
        falls = sum(after < before for before, after in pairwise(firsts))
        assert falls <= workers.kills
    print(f"\n{JOBS} jobs, {workers.kills} kills, {sum(map(len, done)) - JOBS} done twice")


async def test_of_twenty_contenders_never_two_hold(url: str) -> None:
    fleet = f"turns-{uuid.uuid4().hex[:12]}"
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        history: list[Any] = []
        with nursery(5, "contend", url, fleet) as contenders:
            async with asyncio.timeout(SECONDS_TO_END):
                while len(history) < 2 * TURNS:
                    await asyncio.sleep(KILL_EVERY)
                    contenders.replace_one()
                    history = await memory.retrieve("aqe/history", [])
    assert contenders.kills
    _check_turns(history)
    print(f"\n{len(history)} events, {contenders.kills} kills")


def _check_turns(history: list[Any]) -> None:
    """Each goes in with a greater token; who goes out is the one who is in."""
    inside = 0
    for event, token in history:
        if event == "in":
            assert token > inside
            inside = token
        else:
            assert token == inside
