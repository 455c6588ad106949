"""A watcher killed at random, and a server restarted, under concurrent writers: nothing missed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests import prefork
from tests.chaos.watcher_process import read_log

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.postgres.statements import Statements
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.slow]

KEYS = 4_000
WRITERS = 8
KILLS = 6
FLEET = "watched"
PROGRAM = Path(__file__).with_name("watcher_process.py")


def key(number: int) -> str:
    return f"aqe/k/{number:05}"


class Writers:
    """Store and delete ``KEYS`` keys through several memories at once, until told to end.

    ``acknowledged``: the revisions that the servers told, by key. Each key is stored once at
    least.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ending = False
        self.acknowledged: dict[str, int] = {}
        self.written = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for writer in range(WRITERS):
                group.create_task(self._write(writer))

    async def _write(self, writer: int) -> None:
        dice = random.Random(writer)
        numbers = list(range(writer, KEYS, WRITERS))
        dice.shuffle(numbers)
        async with open_memory(self._url, fleet=FLEET, timeout=2, cleanup_interval=None) as memory:
            while numbers or not self._ending:
                # Each key is stored once at least; what follows may delete it, or another's.
                first = [numbers.pop() for _ in range(min(8, len(numbers)))]
                again = [dice.randrange(KEYS) for _ in range(8)]
                await asyncio.gather(
                    *(self._change(memory, key(at), dice.uniform(0.1, 1)) for at in first),
                    *(self._change(memory, key(at), dice.random()) for at in again),
                )

    def end(self) -> None:
        self._ending = True

    async def _change(self, memory: Memory, name: str, fate: float) -> None:
        while True:
            try:
                if fate < 0.1:
                    await memory.delete(name)
                    revision = 0
                else:
                    ttl = 0.5 if fate > 0.9 else None
                    revision = await memory.store(name, {"at": time.time()}, ttl=ttl)
            except errors.BackendUnavailableError:
                # Applied or not: storing it again does no harm.
                await asyncio.sleep(0.05)
            else:
                self.acknowledged[name] = max(revision, self.acknowledged.get(name, 0))
                self.written += 1
                return


class Watcher:
    """A process that logs what it watches, to be killed and started again."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        log.touch()

    async def start(self) -> None:
        self._process = await prefork.start(
            "script", PROGRAM, self._url, FLEET, self._log, stderr=DEVNULL
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"watching\n"

    async def kill(self) -> None:
        assert self._process is not None
        assert self._process.returncode is None, "the watcher ended by itself"
        self._process.kill()
        await self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        return read_log(self._log)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return each key's last change; fails if revisions did not grow."""
        states: dict[str, dict[str, Any]] = {}
        for line in self.lines():
            before = states.get(line["key"])
            assert before is None or line["revision"] > before["revision"], (before, line)
            states[line["key"]] = line
        return states


@contextlib.asynccontextmanager
async def watching(url: str, log: Path) -> AsyncIterator[Watcher]:
    watcher = Watcher(url, log)
    await watcher.start()
    try:
        yield watcher
    finally:
        await watcher.kill()


async def write_and_kill(watcher: Watcher, writers: Writers, restart: Callable[[], None]) -> None:
    """Kill the watcher ``KILLS`` times, and restart the server once, while writers write."""
    dice = random.Random(7)
    async with asyncio.TaskGroup() as group:
        group.create_task(writers.run())
        for kill in range(KILLS):
            goal = writers.written + 500

            async def reached(goal: int = goal) -> bool:
                return writers.written >= goal

            await until(reached, 60)
            if kill == KILLS // 2:
                await asyncio.to_thread(restart)
            await asyncio.sleep(dice.uniform(0, 0.2))
            await watcher.kill()
            await watcher.start()
        writers.end()


async def check(url: str, watcher: Watcher, writers: Writers) -> None:
    """Wait until the watcher's last states are the store's, then compare all."""
    async with open_memory(url, fleet=FLEET, cleanup_interval=None) as memory:

        async def expired() -> bool:
            # The last of those with a TTL is gone: nothing changes any more.
            return all([entry.expires_at is None async for entry in memory.scan()])

        await until(expired, 30)
        stored = {entry.key: entry.revision async for entry in memory.scan()}

        async def caught_up() -> bool:
            return live(watcher.states()) == stored

        with contextlib.suppress(TimeoutError):
            await until(caught_up, 30)
    states = watcher.states()
    print(f"{writers.written} writes of {KEYS} keys, {len(watcher.lines())} changes seen")
    assert live(states) == stored
    assert set(states) == set(writers.acknowledged) == {key(number) for number in range(KEYS)}
    for name, revision in writers.acknowledged.items():
        assert states[name]["revision"] >= revision


def live(states: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {key: line["revision"] for key, line in states.items() if line["kind"] == "stored"}


async def test_nothing_is_missed_on_postgresql(
    own_postgres: Callable[..., PostgresServer], tmp_path: Path
) -> None:
    server = own_postgres()
    writers = Writers(server.url)
    async with watching(server.url, tmp_path / "log") as watcher:
        await write_and_kill(watcher, writers, server.restart)
        await check(server.url, watcher, writers)


async def test_nothing_is_missed_on_redis(
    own_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = own_redis()
    writers = Writers(server.url)
    async with watching(server.url, tmp_path / "log") as watcher:
        await write_and_kill(watcher, writers, server.restart)
        await check(server.url, watcher, writers)


async def test_nothing_is_missed_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    writers = Writers(url)
    async with watching(url, tmp_path / "log") as watcher:
        await write_and_kill(watcher, writers, lambda: None)
        await check(url, watcher, writers)


async def test_transactions_that_commit_out_of_order_are_all_seen(postgres_url: str) -> None:
    """Revisions are taken in one order and become visible in another, over many transactions."""
    fleet = f"overlap-{random.randrange(1 << 30)}"
    put = Statements("lionagi_qe")["put"]
    dice = random.Random(3)
    seen: dict[str, int] = {}
    inversions = 0
    newest = 0
    async with open_memory(postgres_url, fleet=fleet, cleanup_interval=None) as memory:
        pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=12)
        number = await pool.fetchval("SELECT id FROM lionagi_qe.fleets WHERE name = $1", fleet)
        written: dict[str, int] = {}

        async def transact(writer: int) -> None:
            for step in range(25):
                async with pool.acquire() as connection, connection.transaction():
                    for part in range(3):
                        name = f"aqe/k/{writer}-{step}-{part}"
                        written[name] = await connection.fetchval(
                            put, number, name, "1", "default", None
                        )
                        await asyncio.sleep(dice.uniform(0, 0.01))

        async def follow() -> None:
            nonlocal inversions, newest
            async with memory.watch(page_size=5, poll=0.01) as watch:
                ready.set()
                async for change in watch:
                    assert change.key not in seen, "seen twice"
                    seen[change.key] = change.revision
                    inversions += change.revision < newest
                    newest = max(newest, change.revision)

        ready = asyncio.Event()
        follower = asyncio.create_task(follow())
        await ready.wait()
        # One that stays open all the while holds nobody up, and is seen in the end.
        async with pool.acquire() as idle:
            slow = idle.transaction()
            await slow.start()
            written["aqe/k/slow"] = await idle.fetchval(
                put, number, "aqe/k/slow", "1", "default", None
            )
            await asyncio.gather(*(transact(writer) for writer in range(10)))

            async def others_seen() -> bool:
                return len(seen) == len(written) - 1 or follower.done()

            await until(others_seen)
            await slow.commit()

        async def all_seen() -> bool:
            return len(seen) == len(written) or follower.done()

        await until(all_seen)
        assert not follower.done()
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
        await pool.close()
        assert seen == written
        assert inversions > 0, "the transactions did not overlap: nothing was tried"
        await memory.delete_many(written)
