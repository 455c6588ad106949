"""A cache over a durable memory: the contract, the bound on staleness, a cache that fails."""

from __future__ import annotations

import asyncio
import random
import uuid
from functools import partial
from typing import TYPE_CHECKING

import pytest
import redis.asyncio as driver

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.contract.cache import Fill
from lionagi_qe.persistence.redis.cache import RedisCache
from lionagi_qe.testing.conformance import MemoryConformance
from lionagi_qe.testing.conformance.base import until
from lionagi_qe.testing.conformance.batches import BatchesConformance
from lionagi_qe.testing.conformance.concurrency import ConcurrencyConformance
from lionagi_qe.testing.conformance.entries import EntriesConformance
from lionagi_qe.testing.conformance.expiry import ExpiryConformance
from lionagi_qe.testing.conformance.machine import MachineConformance
from lionagi_qe.testing.conformance.values import ValuesConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lionagi_qe import Memory
    from lionagi_qe.testing.conformance import Connect
    from lionagi_qe.testing.faults import FaultProxy
    from lionagi_qe.testing.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.redis]


@pytest.mark.postgres
class TestRedisOverPostgres(MemoryConformance, WatchConformance):
    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        return partial(open_memory, postgres_url, cache=redis_url)


class TestRedisOverSqlite(EntriesConformance, ConcurrencyConformance, MachineConformance):
    """What the store below decides is SQLite's own; the rest is the cache's, tried above."""

    @pytest.fixture
    def connect(self, tmp_path: Path, redis_url: str) -> Connect:
        url = f"sqlite:///{tmp_path / 'memory.db'}"
        return partial(open_memory, url, cache=redis_url)


class TestDeadCacheOverSqlite(
    EntriesConformance, ValuesConformance, ExpiryConformance, BatchesConformance, MachineConformance
):
    """What asks the cache first; all other calls are SQLite's."""

    # Each opens the memory anew and tries the cache.
    machine_examples = 10

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        url = f"sqlite:///{tmp_path / 'memory.db'}"
        return partial(open_memory, url, cache="redis://127.0.0.1:1/0")


@pytest.fixture
def fleet() -> str:
    return f"hybrid-{uuid.uuid4().hex[:12]}"


async def trusted(memory: Memory) -> None:
    async def is_trusted() -> bool:
        return (await memory.get_stats())["cache"]["trusted"]

    await until(is_trusted)


async def cached(memory: Memory, key: str) -> None:
    """Read ``key`` until the cache gives it."""

    async def hit() -> bool:
        before = (await memory.get_stats())["cache"]["hits"]
        await memory.retrieve(key)
        return (await memory.get_stats())["cache"]["hits"] > before

    await until(hit)


@pytest.mark.postgres
async def test_reads_hit_the_cache_and_statistics_tell(
    postgres_url: str, redis_url: str, fleet: str
) -> None:
    async with open_memory(postgres_url, cache=redis_url, fleet=fleet) as memory:
        assert memory.capabilities.max_stale == 1.0
        await trusted(memory)
        await memory.store_many({f"aqe/{at}": at for at in range(100)})

        async def all_hit() -> bool:
            before = (await memory.get_stats())["cache"]
            found = await memory.retrieve_many([f"aqe/{at}" for at in range(100)])
            assert found == {f"aqe/{at}": at for at in range(100)}
            after = (await memory.get_stats())["cache"]
            return after["hits"] == before["hits"] + 100

        # What was read while news of the writes were on their way is not kept.
        await until(all_hit)
        statistics = (await memory.get_stats())["cache"]
        assert statistics["errors"] == 0
        assert 0 < statistics["hit_rate"] < 1
        await memory.clear_partition("default")


@pytest.mark.postgres
async def test_a_direct_write_is_seen_within_the_bound(
    postgres_url: str, redis_url: str, fleet: str
) -> None:
    """Writers past the cache are followed: no reader sees what was replaced long enough ago."""
    bound = 0.4
    loop = asyncio.get_running_loop()
    replaced: dict[int, float] = {}
    worst = 0.0
    async with (
        open_memory(postgres_url, cache=redis_url, max_stale=bound, fleet=fleet) as memory,
        open_memory(postgres_url, fleet=fleet) as direct,
    ):
        await direct.store("aqe/a", 0)
        await trusted(memory)
        ending = False

        async def write() -> None:
            for number in range(1, 60):
                await direct.store("aqe/a", number)
                replaced[number - 1] = loop.time()
                await asyncio.sleep(random.uniform(0, 0.05))

        async def read() -> None:
            nonlocal worst
            while not ending:
                asked = loop.time()
                number = await memory.retrieve("aqe/a")
                if number in replaced:
                    late = asked - replaced[number]
                    assert late <= bound, f"{late:.3f} s old"
                    worst = max(worst, late)
                await asyncio.sleep(0)

        readers = [asyncio.create_task(read()) for _ in range(4)]
        await write()
        await direct.delete("aqe/a")
        gone = loop.time()

        async def is_gone() -> bool:
            return await memory.retrieve("aqe/a") is None

        await until(is_gone)
        print(f"oldest value read: {worst:.3f} s, bound {bound} s; gone {loop.time() - gone:.3f} s")
        ending = True
        await asyncio.gather(*readers)
        stats = (await memory.get_stats())["cache"]
        assert stats["hits"] > 0


async def test_a_handle_sees_its_own_writes_while_the_cache_comes_and_goes(
    own_redis: Callable[..., RedisServer], tmp_path: Path, fleet: str
) -> None:
    """No error reaches the caller, no write is lost, no older value is read."""
    server = own_redis()
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    written: dict[str, int] = {}
    async with open_memory(url, cache=server.url, max_stale=0.3, fleet=fleet) as memory:
        await trusted(memory)
        ending = False

        async def work(worker: int) -> None:
            key = f"aqe/{worker}"
            while not ending:
                number = written.get(key, 0) + 1
                await memory.store(key, number)
                written[key] = number
                for _ in range(3):
                    assert await memory.retrieve(key) == number
                await asyncio.sleep(0.001)

        workers = [asyncio.create_task(work(worker)) for worker in range(8)]
        await cached(memory, "aqe/0")
        for _ in range(2):
            await asyncio.to_thread(server.kill)
            seen = sum(written.values())

            async def went_on(seen: int = seen) -> bool:
                return sum(written.values()) > seen + 200

            await until(went_on)
            await asyncio.to_thread(server.start)
            await trusted(memory)
            await cached(memory, "aqe/0")
        async with driver.from_url(server.url, protocol=2) as client:
            await client.flushall()
        await cached(memory, "aqe/0")
        ending = True
        await asyncio.gather(*workers)
        stats = (await memory.get_stats())["cache"]
        assert stats["errors"] > 0
        assert stats["hits"] > 0
    async with open_memory(url, fleet=fleet) as durable:
        assert await durable.search("aqe/*") == written


async def test_a_silent_cache_slows_nothing_for_long(
    tmp_path: Path, redis_url: str, fleet: str, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    async with fault_proxy(redis_url) as proxy:
        url = f"sqlite:///{tmp_path / 'memory.db'}"
        async with open_memory(url, cache=proxy.url, max_stale=0.3, fleet=fleet) as memory:
            await memory.store("aqe/a", 0)
            await trusted(memory)
            await cached(memory, "aqe/a")
            proxy.blackhole()
            for number in range(1, 200):
                await memory.store("aqe/a", number)
                assert await memory.retrieve("aqe/a") == number
            proxy.pass_through()
            await trusted(memory)
            await cached(memory, "aqe/a")
            assert await memory.retrieve("aqe/a") == 199


async def test_a_new_handle_trusts_nothing_that_changed_while_nobody_followed(
    tmp_path: Path, redis_url: str, fleet: str
) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    async with open_memory(url, cache=redis_url, fleet=fleet) as memory:
        await memory.store_many({"aqe/a": "old", "aqe/b": "same"})
        await trusted(memory)
        await cached(memory, "aqe/a")
        await cached(memory, "aqe/b")
    async with open_memory(url, fleet=fleet) as direct:
        await direct.store("aqe/a", "new")
    async with open_memory(url, cache=redis_url, fleet=fleet) as memory:
        assert await memory.retrieve("aqe/a") == "new"
        await trusted(memory)
        assert await memory.retrieve("aqe/a") == "new"
        # What did not change is still there.
        before = (await memory.get_stats())["cache"]["hits"]
        assert await memory.retrieve("aqe/b") == "same"
        assert (await memory.get_stats())["cache"]["hits"] == before + 1


async def test_a_late_fill_brings_no_old_value_back(
    tmp_path: Path, redis_url: str, fleet: str
) -> None:
    """Readers and writers race on few keys through several handles; the cache follows."""
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    handles = [open_memory(url, cache=redis_url, max_stale=0.5, fleet=fleet) for _ in range(3)]
    for handle in handles:
        await handle.open()
        await trusted(handle)
    dice = random.Random(1)
    latest: dict[str, int] = {}

    async def work(handle: Memory, worker: int) -> None:
        for number in range(150):
            key = f"aqe/{dice.randrange(4)}"
            if worker == 0 and dice.random() < 0.5:
                await handle.store(key, number)
                latest[key] = number
                assert await handle.retrieve(key) == number
            else:
                await handle.retrieve(key)

    await asyncio.gather(*(work(handle, at) for at, handle in enumerate(handles)))
    await asyncio.sleep(0.6)
    for handle in handles:
        assert await handle.retrieve_many(list(latest)) == latest
        await handle.close()


async def test_a_late_fill_outlives_no_entry(redis_url: str, fleet: str) -> None:
    cache = RedisCache.from_url(redis_url)
    cache.name(fleet)
    reading = await cache.begin()
    # So much later than it was read the fill arrives.
    await asyncio.sleep(0.3)
    gone, there = Fill("aqe/gone", 1, b"1", 200), Fill("aqe/there", 1, b"2", 60_000)
    await cache.fill(reading, [gone, there])
    assert await cache.read(["aqe/gone", "aqe/there"]) == [None, b"2"]
    await cache.close()


async def test_what_can_be_no_cache_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    with pytest.raises(errors.UnknownSchemeError, match="lives on Redis"):
        open_memory(url, cache="postgresql://localhost/x")
    with pytest.raises(errors.ConfigurationError, match="max_stale"):
        open_memory(url, max_stale=1)
    with pytest.raises(errors.InvalidArgumentError, match="max_stale"):
        open_memory(url, cache="redis://127.0.0.1:1/0", max_stale=0)
