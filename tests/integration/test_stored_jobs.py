"""Jobs that a version without cancelling, schedules and limits stored are done by this one."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import apsw
import asyncpg
import pytest
import redis.asyncio
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres import schema as postgres_schema
from lionagi_qe.persistence.server_support.migrations import Migration, load_migrations
from lionagi_qe.persistence.sqlite import schema as sqlite_schema

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

pytestmark = pytest.mark.integration

# id, state, attempts, payload, dedupe, outcome
JOBS = [
    ("a-ready", 1, 0, '"ready"', "k", None),
    ("b-delayed", 0, 1, '"delayed"', None, '"once"'),
    ("c-claimed", 2, 1, '"claimed"', "c", None),
    ("d-done", 3, 1, "", None, '"result"'),
    ("e-dead", 4, 5, '"dead"', None, '"no"'),
]
# What each backend's schema was at then.
VERSIONS = {"sqlite": 4, "postgresql": 1}
MODULES = {"sqlite": sqlite_schema, "postgresql": postgres_schema}


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def backend(request: pytest.FixtureRequest) -> tuple[str, str]:
    url = url_of(request)
    if request.param == "postgresql":
        url += f"?schema=stored_{uuid.uuid4().hex[:8]}"
    return request.param, url


async def store_as_before(name: str, url: str, fleet: str, patch: pytest.MonkeyPatch) -> None:
    """Make a fleet with the schema of before, and put the jobs in there, in queue "old"."""
    if name in VERSIONS:

        def of_before(package: str) -> tuple[Migration, ...]:
            return load_migrations(package)[: VERSIONS[name]]

        with patch.context() as before:
            before.setattr(
                MODULES[name],
                "load_migrations",
                of_before,
            )
            async with open_memory(url, fleet=fleet):
                pass
        store = _store_in_sqlite if name == "sqlite" else _store_in_postgres
        await store(url, fleet)
        return
    async with open_memory(url, fleet=fleet) as memory:
        await _store_in_redis(memory, url, clustered=name == "cluster")


async def _store_in_sqlite(url: str, fleet: str) -> None:
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    number: Any = connection.execute("SELECT id FROM fleets WHERE name = ?", (fleet,)).get
    connection.execute("INSERT INTO queues VALUES (?, 'old')", (number,))
    now = time.time_ns() // 1_000_000
    for job_id, state, attempts, payload, dedupe, outcome in JOBS:
        connection.execute(
            "INSERT INTO jobs (fleet, queue, id, state, priority, attempts, max_attempts, claim, "
            "payload, outcome, dedupe, created_ms, due_ms) "
            "VALUES (?, 'old', ?, ?, 0, ?, 5, ?, ?, ?, ?, ?, ?)",
            (
                number,
                job_id,
                state,
                attempts,
                attempts,
                payload.encode(),
                None if outcome is None else outcome.encode(),
                dedupe,
                now,
                now + 60_000 if state == 3 else now,
            ),
        )
    connection.close()


async def _store_in_postgres(url: str, fleet: str) -> None:
    base, schema = url.split("?schema=")
    connection = await asyncpg.connect(base)
    try:
        number = await connection.fetchval(f"SELECT id FROM {schema}.fleets WHERE name = $1", fleet)  # noqa: S608
        await connection.execute(f"INSERT INTO {schema}.queues VALUES ($1, 'old')", number)  # noqa: S608
        for job_id, state, attempts, payload, dedupe, outcome in JOBS:
            await connection.execute(
                f"INSERT INTO {schema}.jobs (fleet, queue, id, state, priority, attempts, "  # noqa: S608
                "max_attempts, claim, payload, outcome, dedupe, created_at, due_at) "
                "VALUES ($1, 'old', $2, $3, 0, $4::int, 5, $4::int, $5, $6, $7, now(), now() + $8)",
                number,
                job_id,
                state,
                attempts,
                payload,
                outcome,
                dedupe,
                timedelta(minutes=state == 3),
            )
    finally:
        await connection.close()


async def _store_in_redis(memory: Memory, url: str, *, clustered: bool) -> None:
    await memory.open()
    backend: Any = parts_of(memory).backend
    shards = backend.session.shards
    prefix = shards.prefixes[shards.of("old")]
    line = f"{prefix}:q:old"
    address = url.replace("redis+cluster", "redis")
    kind: Any = redis.asyncio.RedisCluster if clustered else redis.asyncio.Redis
    client = kind.from_url(address)
    now = time.time_ns() // 1_000_000
    try:
        await client.sadd(f"{prefix}:qs", "old")
        for at, (job_id, state, attempts, payload, dedupe, outcome) in enumerate(JOBS, 1):
            place = f"{at:016}"
            job = {
                "s": state,
                "y": 0,
                "a": attempts,
                "m": 5,
                "c": attempts,
                "n": place,
                "t": now,
            }
            more = {"p": payload, "o": outcome, "d": dedupe}
            job |= {field: value for field, value in more.items() if value}
            await client.hset(f"{line}:j:{job_id}", mapping=job)
            if dedupe:
                await client.hset(f"{line}:u", dedupe, job_id)
            if state == 1:
                await client.zadd(f"{line}:r", {f"{place}:{job_id}": 0})
            else:
                names = {0: "w", 2: "l", 3: "f", 4: "x"}
                score = {3: now + 60_000, 4: 0}.get(state, now)
                await client.zadd(f"{line}:{names[state]}", {job_id: score})
        await client.set(f"{line}:n", len(JOBS))
    finally:
        await client.aclose()


async def test_jobs_of_before_are_done_cancelled_and_revived(
    backend: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = f"stored-{uuid.uuid4().hex[:8]}"
    await store_as_before(*backend, fleet, monkeypatch)
    async with open_memory(backend[1], fleet=fleet) as memory:
        queue = WorkQueue(memory, "old", backoff=lambda _: 0.0)
        assert await queue.result("d-done", 5) == "result"
        (dead,) = await queue.dead()
        assert (dead.id, dead.payload, dead.error) == ("e-dead", "dead", "no")
        assert await queue.put("twin", dedupe="k") == "a-ready"
        assert await queue.put("new", dedupe="k", on_duplicate="replace") == "a-ready"
        assert await queue.retry_dead() == 1
        assert await queue.cancel("e-dead") == "cancelled"
        jobs = {job.id: job for job in await queue.claim(10)}
        assert {job_id: (job.payload, job.attempt) for job_id, job in jobs.items()} == {
            "a-ready": ("new", 1),
            "b-delayed": ("delayed", 2),
            "c-claimed": ("claimed", 2),
        }
        await jobs["a-ready"].progress(1)
        assert await queue.cancel("c-claimed") == "cancelling"
        await jobs["c-claimed"].fail("x")
        await jobs["a-ready"].ack()
        await jobs["b-delayed"].fail("for good", retry=False)
        stats = await queue.stats()
        assert (stats.done, stats.dead, stats.cancelled, stats.ready) == (2, 1, 2, 0)
        assert await queue.put("again", dedupe="k") != "a-ready"
