"""How a waiting worker learns of a job: by the server's word, and without it."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid

import asyncpg
import pytest
from redis.asyncio import Redis
from tests.backends import on, url_of

from lionagi_qe import Memory, PostgresMemory, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import until

LONG = 60.0
PUTS = 30


@pytest.fixture(params=on("memory", "sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"wake-{uuid.uuid4().hex[:12]}"


async def exchange(putter: Memory, worker: Memory) -> float:
    """Put a job that a worker waits for; return the seconds that it took to arrive."""
    waiting = asyncio.create_task(WorkQueue(worker, "jobs").claim(wait=LONG))
    # The worker has found nothing and waits.
    await asyncio.sleep(0.05)
    put = time.perf_counter()
    await WorkQueue(putter, "jobs").put(1)
    (job,) = await waiting
    arrived = time.perf_counter() - put
    await job.ack()
    return arrived


async def test_a_put_wakes_a_worker_soon(url: str, fleet: str) -> None:
    """The goal is 50 ms; the figures are printed, for a busy machine proves nothing."""
    async with open_memory(url, fleet=fleet) as putter, open_memory(url, fleet=fleet) as other:
        worker = putter if url == "memory://" else other
        took = sorted([await exchange(putter, worker) * 1000 for _ in range(PUTS)])
    print(
        f"\n{url.partition(':')[0]}: a put wakes a worker after {statistics.median(took):.1f} ms "
        f"(median), {took[-1]:.1f} ms at most, of {PUTS}"
    )


@pytest.mark.postgres
async def test_without_listen_workers_look_every_now_and_then(
    postgres_url: str, fleet: str
) -> None:
    """As behind a transaction pooler: a pool of the caller's has no connection to listen on."""
    async with (
        asyncpg.create_pool(postgres_url, min_size=1, max_size=4) as pool,
        open_memory(postgres_url, fleet=fleet) as putter,
        PostgresMemory(pool=pool, fleet=fleet) as worker,
        PostgresMemory(pool=pool, fleet=fleet, listen_url=postgres_url) as listener,
    ):
        assert not await parts_of(worker).jobs.listen("jobs")
        assert await parts_of(listener).jobs.listen("jobs")
        for handle in (worker, listener):
            for _ in range(3):
                assert await exchange(putter, handle) < LONG


@pytest.mark.postgres
async def test_workers_go_on_when_the_listening_connection_is_lost(
    postgres_url: str, fleet: str
) -> None:
    async with (
        open_memory(postgres_url, fleet=fleet) as putter,
        open_memory(postgres_url, fleet=fleet) as worker,
    ):
        await exchange(putter, worker)
        connection = await asyncpg.connect(postgres_url)
        waiting = asyncio.create_task(WorkQueue(worker, "jobs").claim(wait=LONG))
        await asyncio.sleep(0.05)
        lost = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        await connection.close()
        assert lost
        await WorkQueue(putter, "jobs").put(2)
        (job,) = await waiting
        assert job.payload == 2
        assert await exchange(putter, worker) < LONG


@pytest.mark.redis
async def test_workers_go_on_when_the_subscription_is_lost(redis_url: str, fleet: str) -> None:
    async with (
        open_memory(redis_url, fleet=fleet) as putter,
        open_memory(redis_url, fleet=fleet) as worker,
        Redis.from_url(redis_url) as server,
    ):
        await exchange(putter, worker)
        waiting = asyncio.create_task(WorkQueue(worker, "jobs").claim(wait=LONG))
        await asyncio.sleep(0.05)
        assert await server.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await WorkQueue(putter, "jobs").put(2)
        (job,) = await waiting
        assert job.payload == 2
        assert await exchange(putter, worker) < LONG
        await until(lambda: parts_of(worker).jobs.listen("jobs"))
