"""Compares drivers on what a memory sends: the very same statements and scripts, by each of them.

    python -m pip install --group drivers
    python tests/benchmarks/drivers.py [--rounds N]

A batch of 32 calls is what concurrency makes of single ones: an upsert of 32 rows or a look-up of
32 keys, two at a time; beside it one call after the other. Rounds in turn, medians, and the ratio
to the driver that we use.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from contextlib import AsyncExitStack
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import asyncpg
import coredis
import glide
import orjson
import psycopg
import psycopg_pool
import redis.asyncio as redis_py

from lionagi_qe import open_memory
from lionagi_qe.bench.workload import Workload
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres.columns import NULL, column
from lionagi_qe.persistence.postgres.columns import columns as postgres_columns
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.testing.servers import find_postgres, find_redis

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BATCH = 32
SECONDS = 0.4
LOAD = Workload(10_000)
WORK = {"store, one": (1, 1), "retrieve, one": (1, 1), "store, 32": (BATCH, 2)}
WORK |= {"retrieve, 32": (BATCH, 2)}


def rows(number: int, count: int) -> dict[str, str]:
    """Return a batch's keys and values, in the order of the keys."""
    return {
        key: orjson.dumps(value).decode()
        for key, value in sorted(LOAD.items(number, count).items())
    }


def columns(fleet: int, number: int, count: int) -> list[Any]:
    """Return what the upsert of a batch is given."""
    found = rows(number, count)
    cells = [(key, value, "default", NULL) for key, value in found.items()]
    return [fleet, *postgres_columns(cells, 4)]


async def postgres_drivers(url: str, stack: AsyncExitStack) -> dict[str, dict[str, Any]]:
    """Return what each driver does for each kind of work."""
    memory = await stack.enter_async_context(open_memory(url, fleet="drivers"))
    await LOAD.fill(memory)
    backend: Any = parts_of(memory).backend
    sql, fleet = backend.session.sql, backend.session.fleet
    pool: Any = await stack.enter_async_context(
        asyncpg.create_pool(url, min_size=2, max_size=2, reset=_nothing)
    )
    others: Any = await stack.enter_async_context(
        psycopg_pool.AsyncConnectionPool(
            url,
            min_size=2,
            max_size=2,
            kwargs={"autocommit": True, "cursor_factory": psycopg.AsyncRawCursor},
        )
    )

    async def by_asyncpg(statement: str, *values: Any) -> None:
        await pool.fetch(statement, *values)

    async def by_psycopg(statement: str, *values: Any) -> None:
        async with others.connection() as connection:
            cursor = await connection.execute(statement, values, prepare=True)
            await cursor.fetchall()

    def doing(run: Any) -> dict[str, Any]:
        return {
            "store, one": lambda at: run(sql["put_many"], *columns(fleet, at, 1)),
            "store, 32": lambda at: run(sql["put_many"], *columns(fleet, at, BATCH)),
            "retrieve, one": lambda at: run(sql["payload"], fleet, LOAD.key(at)),
            "retrieve, 32": lambda at: run(sql["payloads"], fleet, column([*rows(at, BATCH)])),
        }

    return {"asyncpg": doing(by_asyncpg), "psycopg": doing(by_psycopg)}


async def _nothing(_: Any) -> None:
    """Leave a connection as it is."""


async def redis_drivers(url: str, stack: AsyncExitStack) -> dict[str, dict[str, Any]]:
    """Return what each driver does for each kind of work."""
    memory = await stack.enter_async_context(open_memory(url, fleet="drivers"))
    await LOAD.fill(memory)
    shards: Any = parts_of(memory).backend.session.shards
    client: Any = await stack.enter_async_context(redis_py.Redis.from_url(url))
    other: Any = await stack.enter_async_context(coredis.Redis.from_url(url))
    host, port = url.removeprefix("redis://").split("/")[0].rsplit("@", 1)[-1].split(":")
    glided = await glide.GlideClient.create(
        glide.GlideClientConfiguration([glide.NodeAddress(host, int(port))])
    )
    stack.push_async_callback(glided.close)
    digest, prefix = scripts.APPLY.digest, shards.prefixes[0]

    def apply(at: int, count: int) -> list[str]:
        words = ["EVALSHA", digest, "1", prefix, prefix, "", str(count)]
        for key, value in rows(at, count).items():
            words += ["p", key, value, "default", "", "", ""]
        return words

    def wanted(at: int, count: int) -> list[str]:
        return ["MGET", *(shards.name(key) for key in rows(at, count))]

    def doing(run: Callable[..., Awaitable[Any]]) -> dict[str, Any]:
        return {
            "store, one": lambda at: run(*apply(at, 1)),
            "store, 32": lambda at: run(*apply(at, BATCH)),
            "retrieve, one": lambda at: run(*wanted(at, 1)),
            "retrieve, 32": lambda at: run(*wanted(at, BATCH)),
        }

    async def by_coredis(name: str, *words: str) -> None:
        if name == "EVALSHA":
            await other.evalsha(words[0], keys=[words[2]], args=words[3:])
        else:
            await other.mget(words)

    return {
        "redis-py": doing(client.execute_command),
        "coredis": doing(by_coredis),
        "valkey-glide": doing(lambda *words: glided.custom_command([*words])),
    }


async def measure(call: Any, at_once: int) -> tuple[float, float]:
    """Return calls a second and the client's processor time for one, in microseconds."""
    done = 0

    async def work() -> None:
        nonlocal done
        while perf_counter() < end:
            done += 1
            await call(done)

    began, busy = perf_counter(), process_time()
    end = began + SECONDS
    await asyncio.gather(*(work() for _ in range(at_once)))
    return done / (perf_counter() - began), (process_time() - busy) / done * 1e6


async def compare(title: str, drivers: dict[str, dict[str, Any]], rounds: int) -> None:
    """Measure the drivers in turn, and print what came of it."""
    for work, (count, at_once) in WORK.items():
        rates: dict[str, list[float]] = {name: [] for name in drivers}
        costs: dict[str, list[float]] = {name: [] for name in drivers}
        for _ in range(rounds):
            for name, doing in drivers.items():
                rate, cost = await measure(doing[work], at_once)
                rates[name].append(rate * count)
                costs[name].append(cost / count)
        ours = next(iter(drivers))
        for name, found in rates.items():
            ratios = [rate / own for rate, own in zip(found, rates[ours], strict=True)]
            print(
                f"{title:11} {work:14} {name:13} {statistics.median(found):9,.0f} calls/s "
                f"{statistics.median(costs[name]):6.1f} us of client each  "
                f"{statistics.median(ratios):5.2f}x {ours}"
            )


async def main(rounds: int) -> None:
    """Compare on new servers, or those that the environment names."""
    with find_postgres() as server, server.fresh_database() as url:
        async with AsyncExitStack() as stack:
            await compare("PostgreSQL", await postgres_drivers(url, stack), rounds)
    with find_redis() as redis_server:
        async with AsyncExitStack() as stack:
            await compare("Redis", await redis_drivers(redis_server.url, stack), rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args(sys.argv[1:]).rounds))
