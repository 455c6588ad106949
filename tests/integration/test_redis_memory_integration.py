"""RedisMemory on a real Redis server: the specified coverage, and what is its own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio
from tests.backends import on, url_of

from lionagi_qe import Item, RedisMemory, errors, open_memory
from lionagi_qe.testing.conformance.base import erase, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import PerformanceTracker, ServerHealth
    from lionagi_qe.testing.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.redis]


async def ask(url: str, *words: Any) -> Any:
    """Ask the server directly, past the memory."""
    async with redis.asyncio.Redis.from_url(url, protocol=2) as client:
        return await client.execute_command(*words)


async def names(url: str, fleet: str) -> list[str]:
    """Return the names of all Redis keys of a fleet."""
    async with redis.asyncio.Redis.from_url(url, protocol=2, decode_responses=True) as client:
        return [name async for name in client.scan_iter(f"aqe:{{{fleet}}}*", count=1_000)]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


class TestRedisMemoryRealBasics:
    async def test_store_and_retrieve_simple_value(
        self, redis_memory_real: RedisMemory, integration_test_data: dict[str, Any]
    ) -> None:
        await redis_memory_real.store("aqe/test/basic/simple", integration_test_data["simple"])
        found = await redis_memory_real.retrieve("aqe/test/basic/simple")
        assert found == integration_test_data["simple"]

    async def test_every_kind_of_value_makes_the_round_trip(
        self, redis_memory_clean: RedisMemory, integration_test_data: dict[str, Any]
    ) -> None:
        for name, value in integration_test_data.items():
            await redis_memory_clean.store(f"aqe/test/{name}", value)
        for name, value in integration_test_data.items():
            assert await redis_memory_clean.retrieve(f"aqe/test/{name}") == value

    async def test_values_are_json_behind_a_header(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/a", {"text": "é"})
        raw = await ask(redis_url, "GET", f"aqe:{{{redis_memory_clean.fleet}}}:e:aqe/a")
        header, payload = raw.split(b"\n", 1)
        assert json.loads(payload) == {"text": "é"}
        assert header.split()[-1] == b"default"

    async def test_retrieve_of_a_missing_key_is_none(self, redis_memory_clean: RedisMemory) -> None:
        assert await redis_memory_clean.retrieve("aqe/missing") is None

    async def test_delete_removes_the_entry(self, redis_memory_clean: RedisMemory) -> None:
        await redis_memory_clean.store("aqe/a", 1)
        assert await redis_memory_clean.delete("aqe/a")
        assert not await redis_memory_clean.delete("aqe/a")

    async def test_overwriting_replaces_the_value(self, redis_memory_clean: RedisMemory) -> None:
        await redis_memory_clean.store("aqe/a", {"old": 1})
        await redis_memory_clean.store("aqe/a", {"new": 2})
        assert await redis_memory_clean.retrieve("aqe/a") == {"new": 2}

    async def test_a_large_value_makes_the_round_trip(
        self, redis_memory_clean: RedisMemory, large_test_data: dict[str, Any]
    ) -> None:
        await redis_memory_clean.store("aqe/large", large_test_data["value"])
        assert await redis_memory_clean.retrieve("aqe/large") == large_test_data["value"]

    async def test_integers_beyond_the_precision_of_lua_stay_exact(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store("aqe/n", 2**53)
        assert await redis_memory_clean.increment("aqe/n") == 2**53 + 1
        assert await redis_memory_clean.retrieve("aqe/n") == 2**53 + 1


class TestRedisMemoryRealExpiry:
    @pytest.mark.slow
    async def test_an_entry_really_expires(self, redis_memory_clean: RedisMemory) -> None:
        await redis_memory_clean.store("aqe/expires", {"data": "temp"}, ttl=2)
        assert await redis_memory_clean.retrieve("aqe/expires") == {"data": "temp"}
        await asyncio.sleep(3)
        assert await redis_memory_clean.retrieve("aqe/expires") is None

    async def test_expiry_is_redis_own(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/a", 1, ttl=100)
        left = await ask(redis_url, "PTTL", f"aqe:{{{redis_memory_clean.fleet}}}:e:aqe/a")
        assert 90_000 < left <= 100_000
        await redis_memory_clean.touch("aqe/a", None)
        left = await ask(redis_url, "PTTL", f"aqe:{{{redis_memory_clean.fleet}}}:e:aqe/a")
        assert left == -1

    async def test_updates_keep_the_expiry(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/n", 1, ttl=100)
        await redis_memory_clean.increment("aqe/n")
        await redis_memory_clean.update("aqe/n", lambda value: value + 1)
        left = await ask(redis_url, "PTTL", f"aqe:{{{redis_memory_clean.fleet}}}:e:aqe/n")
        assert 90_000 < left <= 100_000

    async def test_expired_entries_leave_no_trace_after_cleanup(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/{at}": at for at in range(20)}, 0.05, "p")
        await asyncio.sleep(0.1)
        assert await redis_memory_clean.cleanup_expired() == 20
        kinds = {name.split(":")[2] for name in await names(redis_url, redis_memory_clean.fleet)}
        # The counter, the layout, the tombstones with their revisions, and how far these go back.
        assert kinds <= {"n", "meta", "t", "r", "f"}

    async def test_tombstones_go_when_they_are_old(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/a", 1)
        await redis_memory_clean.delete("aqe/a")
        prefix = f"aqe:{{{redis_memory_clean.fleet}}}"
        assert await ask(redis_url, "ZCARD", f"{prefix}:t") >= 1
        await ask(redis_url, "ZADD", f"{prefix}:t", "1", "aqe/a")
        await redis_memory_clean.cleanup_expired()
        assert await ask(redis_url, "ZSCORE", f"{prefix}:t", "aqe/a") is None
        assert await ask(redis_url, "ZSCORE", f"{prefix}:r", "aqe/a") is None


class TestRedisMemoryRealSearch:
    async def test_a_pattern_finds_what_matches_sorted(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/plan/v{at}": at for at in (3, 1, 2)})
        await redis_memory_clean.store("aqe/other", 0)
        found = await redis_memory_clean.search("aqe/plan/*")
        assert list(found.items()) == [("aqe/plan/v1", 1), ("aqe/plan/v2", 2), ("aqe/plan/v3", 3)]

    async def test_characters_special_to_redis_patterns_mean_themselves(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        keys = ["aqe/a^b", "aqe/a{b}", "aqe/a-b", "aqe/[x]"]
        await redis_memory_clean.store_many(dict.fromkeys(keys, 1))
        for key in keys[:3]:
            assert list(await redis_memory_clean.search(f"{key}*")) == [key]
        assert list(await redis_memory_clean.search("aqe/\\[x\\]")) == ["aqe/[x]"]

    async def test_no_call_scans_the_database(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/n/{at}": at for at in range(100)}, None, "p")
        await ask(redis_url, "CONFIG", "RESETSTAT")
        await redis_memory_clean.search("aqe/n/*5")
        await redis_memory_clean.list_keys("aqe/")
        _ = [entry async for entry in redis_memory_clean.scan("aqe/n/")]
        await redis_memory_clean.clear_partition("p")
        await redis_memory_clean.get_stats()
        await redis_memory_clean.cleanup_expired()
        used = await ask(redis_url, "INFO", "commandstats")
        assert "cmdstat_zrangebylex" in used
        assert not {"cmdstat_keys", "cmdstat_scan"} & set(used)

    async def test_keys_are_listed_by_prefix_in_order(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store_many(dict.fromkeys(["aqe/b/2", "aqe/b/1", "aqe/c"], 0))
        assert await redis_memory_clean.list_keys("aqe/b/") == ["aqe/b/1", "aqe/b/2"]
        assert await redis_memory_clean.list_keys() == ["aqe/b/1", "aqe/b/2", "aqe/c"]

    async def test_a_search_without_matches_is_empty(self, redis_memory_clean: RedisMemory) -> None:
        assert await redis_memory_clean.search("aqe/none/*") == {}


class TestRedisMemoryRealPartitions:
    async def test_partitions_are_isolated(self, redis_memory_clean: RedisMemory) -> None:
        await redis_memory_clean.store("aqe/a", 1, partition="planning")
        await redis_memory_clean.store("aqe/b", 2, partition="execution")
        assert await redis_memory_clean.list_keys(partition="planning") == ["aqe/a"]
        assert await redis_memory_clean.search("aqe/*", partition="execution") == {"aqe/b": 2}

    async def test_the_partition_is_kept_with_the_entry(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store("aqe/a", 1, partition="planning")
        entry = await redis_memory_clean.entry("aqe/a")
        assert entry is not None
        assert entry.partition == "planning"

    async def test_clearing_a_partition_spares_the_others(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/p/{at}": at for at in range(30)}, None, "p")
        await redis_memory_clean.store("aqe/q", 1, partition="q")
        assert await redis_memory_clean.clear_partition("p") == 30
        assert await redis_memory_clean.list_keys() == ["aqe/q"]

    async def test_an_emptied_fleet_leaves_no_index_behind(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/{at}": at for at in range(10)}, 50, "p")
        await redis_memory_clean.store("aqe/q", 1, partition="q")
        await erase(redis_memory_clean)
        kinds = {name.split(":")[2] for name in await names(redis_url, redis_memory_clean.fleet)}
        assert kinds <= {"n", "meta", "t", "r", "f"}


class TestRedisMemoryRealStatistics:
    async def test_keys_and_partitions_are_counted(self, redis_memory_clean: RedisMemory) -> None:
        await redis_memory_clean.store_many({f"aqe/a/{at}": at for at in range(7)}, None, "p")
        await redis_memory_clean.store("aqe/b", 1)
        stats = await redis_memory_clean.get_stats()
        assert (stats["total_keys"], stats["partitions"]) == (8, {"default": 1, "p": 7})

    async def test_memory_usage_is_the_servers_own(self, redis_memory_clean: RedisMemory) -> None:
        stats = await redis_memory_clean.get_stats()
        assert stats["server"]["used_memory"] > 0
        assert stats["server"]["servers"] == 1
        assert stats["server"]["connected_clients"] >= 1

    async def test_sizes_of_many_entries_are_estimated_and_say_so(
        self, redis_memory_clean: RedisMemory
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/{at}": "x" * 98 for at in range(3_000)})
        stats = await redis_memory_clean.get_stats()
        assert stats["exact"] is False
        assert stats["total_keys"] == 3_000
        assert stats["size_bytes"] == 300_000

    async def test_the_server_is_described_with_its_durability(
        self,
        redis_memory_clean: RedisMemory,
        database_health: Callable[[RedisMemory], Awaitable[ServerHealth]],
    ) -> None:
        health = await database_health(redis_memory_clean)
        assert health.server.startswith(("Redis ", "Valkey "))
        facts = await redis_memory_clean.describe()
        assert facts["schema_version"] == 1
        assert facts["durability"]

    @pytest.mark.parametrize(
        ("appendfsync", "words"),
        [("always", "survives"), ("everysec", "last second"), (None, "AOF is off")],
    )
    async def test_what_a_crash_may_take_is_told(
        self, own_redis: Callable[..., RedisServer], appendfsync: str | None, words: str
    ) -> None:
        server = await asyncio.to_thread(own_redis, appendfsync=appendfsync)
        async with RedisMemory.from_url(server.url) as memory:
            assert words in (await memory.describe())["durability"]


class TestRedisMemoryRealConcurrency:
    async def test_concurrent_writes_all_arrive(
        self, redis_memory_clean: RedisMemory, run_concurrently: Callable[..., Any]
    ) -> None:
        async def store(at: int) -> None:
            await redis_memory_clean.store(f"aqe/n/{at}", at)

        await run_concurrently(store, 150)
        for at in range(150):
            assert await redis_memory_clean.retrieve(f"aqe/n/{at}") == at

    async def test_increments_are_atomic(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        async with RedisMemory.from_url(redis_url, fleet=redis_memory_clean.fleet) as other:
            handles = (redis_memory_clean, other)
            await asyncio.gather(*(handles[at % 2].increment("aqe/n") for at in range(300)))
        assert await redis_memory_clean.retrieve("aqe/n") == 300

    async def test_updates_of_two_handles_all_count(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        async with RedisMemory.from_url(redis_url, fleet=redis_memory_clean.fleet) as other:
            handles = (redis_memory_clean, other)
            await asyncio.gather(
                *(
                    handles[at % 2].update("aqe/n", lambda n: n + 1, default=0, timeout=60)
                    for at in range(100)
                )
            )
        assert await redis_memory_clean.retrieve("aqe/n") == 100

    async def test_of_many_creators_one_wins(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        async with RedisMemory.from_url(redis_url, fleet=redis_memory_clean.fleet) as other:
            handles = (redis_memory_clean, other)
            answers = await asyncio.gather(
                *(handles[at % 2].store("aqe/k", at, if_revision=0) for at in range(40)),
                return_exceptions=True,
            )
        assert sum(isinstance(answer, int) for answer in answers) == 1

    async def test_a_batch_with_a_conflict_changes_no_index(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/m", 1, partition="before")
        before = sorted(await names(redis_url, redis_memory_clean.fleet))
        with pytest.raises(errors.RevisionConflictError):
            await redis_memory_clean.store_many(
                {"aqe/a": 1, "aqe/m": Item(2, if_revision=0), "aqe/z": 3}, 50, "after"
            )
        assert sorted(await names(redis_url, redis_memory_clean.fleet)) == before


class TestRedisMemoryRealPool:
    async def test_a_burst_never_exceeds_the_pool(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with RedisMemory.from_url(f"{server.url}?pool_size=3") as memory:
            await asyncio.gather(*(memory.store(f"aqe/n/{at}", at) for at in range(5_000)))
            await asyncio.gather(*(memory.retrieve(f"aqe/n/{at}") for at in range(5_000)))
            clients = (await ask(server.url, "CLIENT", "LIST")).decode().splitlines()
            # One of them asks for this list.
            assert 1 <= len(clients) - 1 <= 3

    async def test_closing_closes_every_connection(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with RedisMemory.from_url(server.url) as memory:
            await asyncio.gather(*(memory.store(f"aqe/n/{at}", at) for at in range(500)))

        async def alone() -> bool:
            return len((await ask(server.url, "CLIENT", "LIST")).splitlines()) == 1

        await until(alone)

    async def test_changes_wait_while_the_server_is_a_replica(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with RedisMemory.from_url(server.url, timeout=30) as memory:
            await memory.store("aqe/a", 1)
            await ask(server.url, "REPLICAOF", "127.0.0.1", "1")
            storing = asyncio.create_task(memory.store("aqe/a", 2))
            await asyncio.wait([storing], timeout=0.3)
            # Time for the refusal on a busy machine, too: without an answer it would be unknown.
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/b", 2, timeout=2)
            assert caught.value.outcome == "not_applied"
            assert not storing.done()
            await ask(server.url, "REPLICAOF", "NO", "ONE")
            assert await storing
            assert await memory.retrieve("aqe/a") == 2

    async def test_connections_that_the_server_ended_are_replaced(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with RedisMemory.from_url(server.url, timeout=20) as memory:
            await memory.store("aqe/a", 1)
            await ask(server.url, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert await memory.retrieve("aqe/a") == 1
            assert await memory.delete("aqe/a")

    async def test_a_script_cache_that_was_flushed_is_filled_again(
        self, redis_memory_clean: RedisMemory, redis_url: str
    ) -> None:
        await redis_memory_clean.store("aqe/a", 1)
        await ask(redis_url, "SCRIPT", "FLUSH")
        await redis_memory_clean.store("aqe/a", 2)
        assert await redis_memory_clean.search("aqe/*") == {"aqe/a": 2}

    async def test_host_port_and_password_can_be_named_apart(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis, password="correct horse")
        async with RedisMemory("127.0.0.1", server.port, 3, password="correct horse") as memory:
            await memory.store("aqe/a", 1)
            assert (await memory.get_stats())["total_keys"] == 1
        wrong = RedisMemory("127.0.0.1", server.port, password="wrong")
        with pytest.raises(errors.AccessDeniedError) as caught:
            await wrong.retrieve("aqe/a")
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        await wrong.close()


class TestRedisMemoryRealNamespace:
    @pytest.mark.parametrize("key", ["test/a", "aqe", "aqe/", "/aqe/a", "AQE/a"])
    async def test_keys_outside_the_namespace_are_refused(
        self, redis_memory_clean: RedisMemory, key: str
    ) -> None:
        with pytest.raises(errors.InvalidKeyError, match="key"):
            await redis_memory_clean.store(key, 1)
        assert await redis_memory_clean.list_keys() == []

    async def test_every_redis_key_of_a_fleet_is_under_its_hash_tag(
        self, redis_memory_clean: RedisMemory, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with RedisMemory.from_url(server.url, fleet="team-a") as memory:
            await memory.store("aqe/a", 1, ttl=50, partition="p")
            await memory.increment("aqe/n", 0.5)
            await memory.delete("aqe/n")
            await memory.cleanup_expired()
            every = await ask(server.url, "KEYS", "*")
        assert every
        assert all(name.startswith(b"aqe:{team-a}:") for name in every)


class TestRedisMemoryRealDurability:
    async def test_entries_survive_a_restart_by_the_append_only_file(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis, appendfsync="everysec")
        async with RedisMemory.from_url(server.url, timeout=30) as memory:
            revision = await memory.store("aqe/kept", {"a": 1}, ttl=1000, partition="p")
            await memory.store_many({f"aqe/n/{at}": at for at in range(100)})
            await asyncio.to_thread(server.restart)
            entry = await memory.entry("aqe/kept")
            assert entry is not None
            assert (entry.value, entry.revision, entry.partition) == ({"a": 1}, revision, "p")
            assert entry.expires_at is not None
            assert len(await memory.search("aqe/n/*")) == 100
            assert await memory.store("aqe/kept", 2, if_revision=revision) > revision

    async def test_every_acknowledged_write_survives_a_crash_with_appendfsync_always(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis, appendfsync="always")
        acknowledged: dict[str, int] = {}

        async def write(memory: RedisMemory, worker: int) -> None:
            at = 0
            while True:
                key = f"aqe/{worker}/{at}"
                try:
                    await memory.store(key, at, timeout=1)
                except errors.BackendUnavailableError:
                    return
                acknowledged[key] = at
                at += 1

        async with RedisMemory.from_url(server.url) as memory:
            writers = [asyncio.create_task(write(memory, at)) for at in range(8)]

            async def enough() -> bool:
                return len(acknowledged) > 500

            await until(enough)
            await asyncio.to_thread(server.kill)
            await asyncio.gather(*writers)
            await asyncio.to_thread(server.start)
            keys = list(acknowledged)
            found: dict[str, Any] = {}
            for at in range(0, len(keys), 5_000):
                found |= await memory.retrieve_many(keys[at : at + 5_000], timeout=30)
            assert found == acknowledged


class TestRedisMemoryRealPerformance:
    async def test_bulk_writes_and_sequential_reads(
        self, redis_memory_clean: RedisMemory, performance_tracker: PerformanceTracker
    ) -> None:
        with performance_tracker.measure("Redis 100 stores, one by one", 100):
            for at in range(100):
                await redis_memory_clean.store(f"aqe/n/{at}", at)
        with performance_tracker.measure("Redis 100 reads, one by one", 100):
            for at in range(100):
                assert await redis_memory_clean.retrieve(f"aqe/n/{at}") == at

    async def test_batches(
        self,
        redis_memory_clean: RedisMemory,
        performance_tracker: PerformanceTracker,
        large_test_data: dict[str, Any],
    ) -> None:
        entries = large_test_data["entries"]
        with performance_tracker.measure("Redis store_many", len(entries)):
            await redis_memory_clean.store_many(entries)
        with performance_tracker.measure("Redis retrieve_many", len(entries)):
            assert await redis_memory_clean.retrieve_many(entries) == entries

    async def test_search_of_fifty_keys(
        self, redis_memory_clean: RedisMemory, performance_tracker: PerformanceTracker
    ) -> None:
        await redis_memory_clean.store_many({f"aqe/other/{at}": at for at in range(2_000)})
        await redis_memory_clean.store_many({f"aqe/wanted/{at}": at for at in range(50)})
        with performance_tracker.measure("Redis search of 50 keys", 50):
            assert len(await redis_memory_clean.search("aqe/wanted/*")) == 50


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("", " lib-name=redis-py lib-ver="),
        ("?lib_name=night-shift&lib_version=7", " lib-name=night-shift lib-ver=7"),
    ],
)
@pytest.mark.parametrize("url", on("redis", "cluster"), indirect=True)
async def test_a_server_is_told_which_library_connects(url: str, option: str, told: str) -> None:
    async with open_memory(url + option) as memory:
        await memory.store("aqe/a", 1)
        clients = (await ask(url.replace("+cluster", ""), "CLIENT", "LIST")).decode()

    # Before 7.2 Redis has no such field for any client, and is used all the same.
    assert told in clients or "lib-name=" not in clients
