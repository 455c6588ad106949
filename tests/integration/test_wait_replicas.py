"""Redis changes that count as made once replicas have them, too (``?wait_replicas=``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.testing.servers import available_redis_servers
from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.redis]

Pair = tuple["RedisServer", "RedisServer"]


@pytest.fixture(params=[server.flavour for server in available_redis_servers()])
def pair(request: pytest.FixtureRequest, own_redis: Callable[..., RedisServer]) -> Pair:
    """A primary and a replica."""
    settings = {"repl-diskless-sync-delay": "0"}
    primary = own_redis(request.param, appendfsync=None, settings=settings)
    replica = own_redis(request.param, appendfsync=None, settings=settings)
    _follow(primary, replica)
    return primary, replica


def _follow(primary: RedisServer, replica: RedisServer) -> None:
    replica.execute("REPLICAOF", "127.0.0.1", str(primary.port))
    wait_until(lambda: replica.execute("ROLE")[3] == "connected", "the replica follows", timeout=30)


async def test_a_change_that_no_replica_has_is_unknown_and_works_again_with_one(
    pair: Pair,
) -> None:
    primary, replica = pair
    async with open_memory(f"{primary.url}?wait_replicas=1", timeout=20) as memory:
        queue = WorkQueue(memory, "waits")
        await memory.store("aqe/a", 1)
        await queue.put(1)
        async with Lease(memory, "waits") as lease:
            await memory.store("aqe/a", 2, fence=lease)
        replica.kill()
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcomes = await asyncio.gather(
            memory.store("aqe/a", 3, timeout=0.5),
            memory.increment("aqe/n", timeout=0.5),
            queue.put(2, timeout=0.5),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [errors.OutcomeUnknownError] * 3
        assert loop.time() - began < 1.5
        # Applied where it was sent; reads don't wait.
        assert await memory.retrieve("aqe/a") == 3
        storing = asyncio.create_task(memory.store("aqe/a", 4))
        replica.start()
        _follow(primary, replica)
        await storing
        assert await memory.retrieve("aqe/a") == 4


async def test_a_primary_that_becomes_a_replica_meanwhile_leaves_it_unknown(pair: Pair) -> None:
    primary, replica = pair
    async with open_memory(f"{primary.url}?wait_replicas=1", timeout=20) as memory:
        await memory.store("aqe/a", 1)
        replica.pause()
        try:
            storing = asyncio.create_task(memory.store("aqe/a", 2))
            await asyncio.to_thread(
                wait_until,
                lambda: "blocked_clients:1" in str(primary.execute("INFO", "clients")),
                "the change waits for the replica",
                timeout=20,
            )
            primary.execute("REPLICAOF", "127.0.0.1", str(replica.port))
            with pytest.raises(errors.OutcomeUnknownError, match="wait_replicas=1"):
                await storing
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/a", 3, timeout=3)
            assert caught.value.outcome == "not_applied"
        finally:
            replica.resume()


async def test_what_finds_all_done_waits_for_what_it_found(pair: Pair) -> None:
    primary, replica = pair
    async with (
        open_memory(primary.url) as others,
        open_memory(f"{primary.url}?wait_replicas=1", timeout=20) as memory,
    ):
        queue = WorkQueue(memory, "waits")
        await queue.put(0)
        replica.pause()
        try:
            theirs = await WorkQueue(others, "waits").put(1, dedupe="one")
            with pytest.raises(errors.OutcomeUnknownError):
                await queue.put(1, dedupe="one", timeout=0.5)
        finally:
            replica.resume()
        assert await queue.put(1, dedupe="one") == theirs


async def test_a_change_that_is_refused_waits_for_no_replica(pair: Pair) -> None:
    primary, replica = pair
    async with open_memory(f"{primary.url}?wait_replicas=1", timeout=20) as memory:
        await memory.store("aqe/a", 1)
        replica.kill()
        primary.execute("CONFIG", "SET", "min-replicas-to-write", "1")
        with pytest.raises(errors.BackendUnavailableError, match=r"NOREPLICAS|replicas") as caught:
            await memory.store("aqe/a", 2, timeout=2)
        assert caught.value.outcome == "not_applied"


@pytest.mark.parametrize("number", ["0", "-1", "some"])
def test_it_has_to_be_a_number_of_replicas(number: str) -> None:
    with pytest.raises(errors.AqeError, match=r"wait_replicas|can't be read"):
        open_memory(f"redis://127.0.0.1/0?wait_replicas={number}")
