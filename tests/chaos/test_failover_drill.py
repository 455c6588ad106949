"""Servers that take over from each other, again and again, under load; ``make drill`` is the whole.

The short form switches each system over once, by a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.chaos.failover_load import GRACE, TIMEOUT, Load
from tests.chaos.takeovers import REPLICATED, switch_cluster, switch_pair, switch_sentinels

from lionagi_qe import open_memory
from lionagi_qe.testing.faults import FaultProxy
from lionagi_qe.testing.servers import (
    PostgresPair,
    RedisCluster,
    RedisSentinels,
    available_redis_servers,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

# How often each system is switched over, in good order and by a crash in turn.
SWITCHES = int(os.environ.get("AQE_DRILL_SWITCHES", "0"))
REPORT = Path(os.environ.get("AQE_DRILL_OUT", "build/drill.md"))
FLAVOURS = [server.flavour for server in available_redis_servers()]


@dataclass
class System:
    """Servers that the drill has started: where they are, and how another takes over."""

    url: str
    switch: Callable[[bool], Awaitable[None]]


@contextlib.asynccontextmanager
async def postgres_hosts() -> AsyncIterator[System]:
    with PostgresPair() as pair:

        async def switch(crash: bool) -> None:
            await switch_pair(pair, crash=crash)

        yield System(pair.url, switch)


@contextlib.asynccontextmanager
async def postgres_address() -> AsyncIterator[System]:
    with PostgresPair() as pair:
        async with FaultProxy.for_url(pair.primary.url) as proxy:

            async def switch(crash: bool) -> None:
                await asyncio.to_thread(pair.take_over, crash=crash)
                proxy.forward_to(pair.primary.port)
                await asyncio.to_thread(pair.follow)

            yield System(proxy.url, switch)


def sentinels(options: str, *, lasting: bool) -> Callable[[], AbstractAsyncContextManager[System]]:
    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[System]:
        with RedisSentinels(FLAVOURS[-1], password="pri/mary", settings=REPLICATED) as servers:

            async def switch(crash: bool) -> None:
                again = bool(SWITCHES)
                await switch_sentinels(servers, crash=crash, at_once=not lasting, bring_back=again)

            yield System(f"{servers.url}{options}", switch)

    return start


def cluster(options: str) -> Callable[[], AbstractAsyncContextManager[System]]:
    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[System]:
        with RedisCluster(FLAVOURS[0], replicas=1, settings=REPLICATED) as nodes:

            async def switch(crash: bool) -> None:
                await switch_cluster(nodes, crash=crash)

            yield System(f"{nodes.url}{options}", switch)

    return start


@dataclass(frozen=True)
class Case:
    """A system of the drill: how it is started, and what its settings promise."""

    name: str
    settings: str
    start: Callable[[], AbstractAsyncContextManager[System]]
    keeps: bool = True
    is_short: bool = False


_MIN = "min-replicas-to-write 1, min-replicas-max-lag 2"
CASES = [
    Case(
        "PostgreSQL, several hosts in the URL",
        "synchronous_standby_names, synchronous_commit on",
        postgres_hosts,
        is_short=True,
    ),
    Case(
        "PostgreSQL behind one address",
        "synchronous_standby_names, synchronous_commit on",
        postgres_address,
    ),
    Case(
        "Redis, 2 replicas, 3 Sentinels",
        f"{_MIN}; wait_replicas=1; planned: changes refused first",
        sentinels("?wait_replicas=1", lasting=True),
        is_short=True,
    ),
    Case(
        "Redis, 2 replicas, 3 Sentinels",
        f"{_MIN}; wait_replicas=2; planned: SENTINEL FAILOVER alone",
        sentinels("?wait_replicas=2", lasting=False),
    ),
    Case(
        "Redis, 2 replicas, 3 Sentinels",
        f"{_MIN}; planned: SENTINEL FAILOVER alone",
        sentinels("", lasting=False),
        keeps=False,
    ),
    Case(
        "Redis Cluster, 3 primaries, 3 replicas",
        f"{_MIN}; wait_replicas=1",
        cluster("?wait_replicas=1"),
        is_short=True,
    ),
    Case("Redis Cluster, 3 primaries, 3 replicas", _MIN, cluster(""), keeps=False),
]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[str]]:
    """What the drill measured, written to a table in the end."""
    rows: list[str] = []
    yield rows
    if SWITCHES:
        head = (
            "system | settings | switch-overs | calls | acknowledged | unknown | refused | "
            "longest call, s | longest time without an acknowledged change, s | leases lost | "
            "gaps told to the watcher | acknowledged and lost"
        )
        lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|", *rows]
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("", *lines, sep="\n")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.name}: {case.settings}")
        for case in CASES
        if case.is_short or SWITCHES
    ],
)
async def test_nothing_acknowledged_is_lost_and_every_call_is_answered(
    case: Case, rows: list[str]
) -> None:
    async with case.start() as system, open_memory(system.url, timeout=TIMEOUT) as memory:
        load = Load(memory)
        async with load():
            await load.goes_on()
            for number in range(SWITCHES or 1):
                await system.switch(not SWITCHES or number % 2 == 1)
                await load.goes_on()
        losses = await load.losses()
    tally = load.tally
    lost = {what: len(which) for what, which in losses.items()}
    rows.append(
        f"| {case.name} | {case.settings} | {SWITCHES or 1} | {tally.calls} | "
        f"{tally.acknowledged} | {tally.unknown} | {tally.refused} | {tally.longest:.1f} | "
        f"{load.longest_silence:.1f} | {load.leases_lost} | {load.gaps} | "
        f"{', '.join(f'{count} {what}' for what, count in lost.items()) or 'none'} |"
    )
    assert tally.longest <= TIMEOUT + GRACE
    # Whatever the settings: what was told to be refused is not there.
    assert not {"refused, and there", "jobs refused, and done"} & losses.keys()
    if case.keeps:
        # A gap is told where a watcher saw what was never acknowledged, and is gone.
        assert losses == {}
