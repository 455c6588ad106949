"""A client is killed with SIGKILL while it stores with all its might; what it was told, holds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests import prefork
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.bench.arenas import arena_at

CLIENT = Path(__file__).with_name("storing_client.py")
KEYS = 20
KILLS = 5
KILLS_AT_FULL_SIZE = 50


@pytest.fixture
def kills() -> int:
    """How many clients are killed; more with ``AQE_BENCH_FULL=1``."""
    full = os.environ.get("AQE_BENCH_FULL", "0") not in {"", "0"}
    return KILLS_AT_FULL_SIZE if full else KILLS


@pytest.fixture(params=on("sqlite", "postgresql", "redis"))
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of each server in turn."""
    return url_of(request)


async def test_every_acknowledged_store_outlives_its_client(store_url: str, kills: int) -> None:
    chance = random.Random(1)
    acknowledged = 0
    async with arena_at(store_url) as arena:
        for kill in range(kills):
            fleet = f"{arena.token}-{kill}"
            newest = await run_until_killed(arena.memory_url, fleet, chance.randrange(64, 5_000))
            acknowledged += len(newest)
            async with open_memory(arena.memory_url, fleet=fleet) as memory:
                stored = await memory.retrieve_many(newest)
            lost = {
                key: (number, stored.get(key))
                for key, number in newest.items()
                if key not in stored or stored[key]["number"] < number
            }
            assert not lost, f"kill {kill + 1}: acknowledged but not stored: {lost}"
    print(f"\n{arena.backend}: {kills} clients killed, {acknowledged:,} keys checked, none lost")


async def run_until_killed(url: str, fleet: str, acknowledgements: int) -> dict[str, int]:
    """Kill a client after so many acknowledged stores; return each key's newest one."""
    newest: dict[str, int] = {}
    client = await prefork.start("script", CLIENT, url, fleet, stderr=None)
    assert client.stdout is not None
    seen = 0
    async for line in client.stdout:
        worker, number = map(int, line.split())
        key = f"aqe/kill/{worker:02}/{number % KEYS:02}"
        newest[key] = max(number, newest.get(key, 0))
        seen += 1
        if seen == acknowledgements:
            # What it had written by then is still in the pipe, and read by the loop.
            client.kill()
    assert await client.wait() == -9, "it ended by itself"
    return newest
