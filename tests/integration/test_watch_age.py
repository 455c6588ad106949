"""Positions that are too old, or of a store that was set back: said so, never passed over."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import apsw
import asyncpg
import pytest
import redis.asyncio as driver

from lionagi_qe import errors, open_memory

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.persistence import Memory

HOUR_MS = 3_600_000


class Store:
    """A fleet on one backend, whose tombstones can be made an hour old."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fleet = f"age-{uuid.uuid4().hex[:12]}"

    async def connect(self) -> Memory:
        return await open_memory(self.url, fleet=self.fleet, cleanup_interval=None).open()

    async def age(self) -> None:
        raise NotImplementedError

    async def set_back(self) -> None:
        raise NotImplementedError

    def aged(self, cursor: str) -> str:
        """Return the cursor as it would be after an hour."""
        return cursor


class SqliteStore(Store):
    async def _execute(self, statement: str) -> None:
        with apsw.Connection(self.url.removeprefix("sqlite:///")) as connection:
            connection.execute(statement)

    async def age(self) -> None:
        await self._execute("UPDATE entries SET expires_ms = expires_ms - 3600000")

    async def set_back(self) -> None:
        await self._execute("UPDATE fleets SET revision = 0")


class PostgresStore(Store):
    async def age(self) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(
            "UPDATE lionagi_qe.entries SET expires_at = expires_at - interval '1 hour' "
            "WHERE fleet = (SELECT id FROM lionagi_qe.fleets WHERE name = $1)",
            self.fleet,
        )
        await connection.close()

    def aged(self, cursor: str) -> str:
        tag, snapshot, moment, *rest = cursor.split(";")
        return ";".join([tag, snapshot, str(int(moment) - HOUR_MS), *rest])


class RedisStore(Store):
    async def age(self) -> None:
        async with driver.from_url(self.url, protocol=2) as client:
            tombs = f"aqe:{{{self.fleet}}}:t"
            for key, moment in await client.zrange(tombs, 0, -1, withscores=True):
                await client.zadd(tombs, {key: moment - 2 * HOUR_MS})

    async def set_back(self) -> None:
        async with driver.from_url(self.url, protocol=2) as client:
            await client.delete(f"aqe:{{{self.fleet}}}:n")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return SqliteStore(f"sqlite:///{tmp_path / 'memory.db'}")
    if request.param == "postgres":
        return PostgresStore(request.getfixturevalue("postgres_url"))
    return RedisStore(request.getfixturevalue("redis_url"))


async def test_a_position_from_before_forgotten_deletions_is_refused(store: Store) -> None:
    memory = await store.connect()
    await memory.store_many({"aqe/a": 1, "aqe/b": 1})
    watch = await memory.watch(poll=0.01).open()
    old = store.aged(watch.cursor or "")
    await memory.delete("aqe/a")
    async with asyncio.timeout(10):
        assert (await anext(watch)).kind == "deleted"

    await store.age()
    await memory.cleanup_expired()
    with pytest.raises(errors.WatchTooOldError, match="since='start'"):
        await anext(memory.watch(since=old, poll=0.01))

    # Who has read the deletion goes on, and who begins anew need not know of it.
    await memory.store("aqe/c", 1)
    async with asyncio.timeout(10):
        assert (await anext(watch)).key == "aqe/c"
        anew = memory.watch(since="start", page_size=1, poll=0.01)
        assert {(await anext(anew)).key for _ in range(2)} == {"aqe/b", "aqe/c"}
        resumed = memory.watch(since=anew.cursor, poll=0.01)
        await memory.store("aqe/d", 1)
        assert (await anext(resumed)).key == "aqe/d"
    await memory.clear_partition("default")
    await memory.close()


async def test_an_old_position_is_good_while_nothing_was_forgotten(store: Store) -> None:
    memory = await store.connect()
    watch = await memory.watch().open()
    old = store.aged(watch.cursor or "")
    await memory.store("aqe/a", 1)
    await memory.delete("aqe/a")
    await memory.cleanup_expired()
    async with asyncio.timeout(10):
        assert (await anext(memory.watch(since=old, poll=0.01))).kind == "deleted"
    await memory.close()


async def test_a_position_ahead_of_a_store_that_was_set_back_is_refused(store: Store) -> None:
    memory = await store.connect()
    await memory.store("aqe/a", 1)
    watch = await memory.watch(poll=0.01).open()
    if isinstance(store, PostgresStore):
        tag, _, *rest = (watch.cursor or "").split(";")
        watch = memory.watch(since=";".join([tag, "900000000000:900000000009:", *rest]))
    else:
        await store.set_back()
    with pytest.raises(errors.WatchTooOldError, match="ahead"):
        await anext(watch)
    await memory.clear_partition("default")
    await memory.close()


async def test_entries_restored_from_another_servers_dump_are_seen_once(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    memory = await store.connect()
    await memory.store_many({f"aqe/{at}": at for at in range(5)})
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(
        "UPDATE lionagi_qe.entries SET changed = '900000000000' "
        "WHERE fleet = (SELECT id FROM lionagi_qe.fleets WHERE name = $1)",
        store.fleet,
    )
    await connection.close()
    async with memory.watch(since="start", page_size=2, poll=0.01) as watch, asyncio.timeout(10):
        assert {(await anext(watch)).key for _ in range(5)} == {f"aqe/{at}" for at in range(5)}
        await memory.store("aqe/5", 5)
        assert (await anext(watch)).key == "aqe/5"
    await memory.clear_partition("default")
    await memory.close()
