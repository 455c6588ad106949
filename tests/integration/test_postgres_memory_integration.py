"""PostgresMemory on a real PostgreSQL server: the specified coverage, and what is its own."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from lionagi_qe import PostgresMemory, errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import PerformanceTracker, ServerHealth
    from lionagi_qe.testing.servers import PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


async def ask(url: str, query: str, *arguments: Any) -> Any:
    """Ask the server directly, past the memory."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


class TestPostgresMemoryRealBasics:
    async def test_store_and_retrieve_simple_value(
        self, postgres_memory_real: PostgresMemory, integration_test_data: dict[str, Any]
    ) -> None:
        key = "aqe/test/basic/simple"
        await postgres_memory_real.store(key, integration_test_data["simple"])
        assert await postgres_memory_real.retrieve(key) == integration_test_data["simple"]

    async def test_every_kind_of_value_makes_the_round_trip(
        self, postgres_memory_clean: PostgresMemory, integration_test_data: dict[str, Any]
    ) -> None:
        for name, value in integration_test_data.items():
            await postgres_memory_clean.store(f"aqe/test/{name}", value)
        for name, value in integration_test_data.items():
            assert await postgres_memory_clean.retrieve(f"aqe/test/{name}") == value

    async def test_retrieve_of_a_missing_key_is_none(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        assert await postgres_memory_clean.retrieve("aqe/test/missing") is None

    async def test_delete_removes_the_entry(self, postgres_memory_clean: PostgresMemory) -> None:
        await postgres_memory_clean.store("aqe/test/a", 1)
        assert await postgres_memory_clean.delete("aqe/test/a")
        assert await postgres_memory_clean.retrieve("aqe/test/a") is None

    async def test_overwriting_replaces_the_value(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store("aqe/test/a", {"old": 1})
        await postgres_memory_clean.store("aqe/test/a", {"new": 2})
        assert await postgres_memory_clean.retrieve("aqe/test/a") == {"new": 2}

    async def test_a_large_value_makes_the_round_trip(
        self, postgres_memory_clean: PostgresMemory, large_test_data: dict[str, Any]
    ) -> None:
        await postgres_memory_clean.store("aqe/test/large", large_test_data["value"])
        assert await postgres_memory_clean.retrieve("aqe/test/large") == large_test_data["value"]

    async def test_what_json_would_change_in_jsonb_comes_back_as_it_was(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        value = {"z": 1.0, "a": 1e22, "text": "\x00", "pair": [1, 1.0]}
        await postgres_memory_clean.store("aqe/test/exact", value)
        assert repr(await postgres_memory_clean.retrieve("aqe/test/exact")) == repr(value)

    async def test_entries_are_rows_of_the_documented_table(
        self, postgres_memory_clean: PostgresMemory, postgres_url: str
    ) -> None:
        revision = await postgres_memory_clean.store("aqe/test/row", [1, 2], partition="p")
        query = "SELECT value FROM lionagi_qe.entries WHERE revision = $1 AND partition = 'p'"
        assert await ask(postgres_url, query, revision) == "[1,2]"


class TestPostgresMemoryRealExpiry:
    @pytest.mark.slow
    async def test_an_entry_really_expires(self, postgres_memory_clean: PostgresMemory) -> None:
        await postgres_memory_clean.store("aqe/test/expires", {"data": "temp"}, ttl=2)
        assert await postgres_memory_clean.retrieve("aqe/test/expires") == {"data": "temp"}
        await asyncio.sleep(3)
        assert await postgres_memory_clean.retrieve("aqe/test/expires") is None

    async def test_the_servers_clock_decides(
        self, postgres_memory_clean: PostgresMemory, postgres_url: str
    ) -> None:
        before = await ask(postgres_url, "SELECT now()")
        await postgres_memory_clean.store("aqe/test/a", 1, ttl=60)
        after = await ask(postgres_url, "SELECT now()")
        entry = await postgres_memory_clean.entry("aqe/test/a")
        assert entry is not None
        # Entries tell milliseconds, the server microseconds.
        assert before - timedelta(milliseconds=1) <= entry.updated_at <= after

    async def test_expired_entries_are_hidden_until_cleanup_and_counted(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/test/{at}": at for at in range(20)}, ttl=0.05)
        await postgres_memory_clean.store("aqe/test/stays", 1)
        await asyncio.sleep(0.1)
        stats = await postgres_memory_clean.get_stats()
        assert (stats["total_keys"], stats["total_expired"]) == (1, 20)
        assert await postgres_memory_clean.cleanup_expired() == 20
        assert await postgres_memory_clean.list_keys() == ["aqe/test/stays"]

    async def test_storing_again_without_ttl_keeps_the_entry(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store("aqe/test/a", 1, ttl=0.05)
        await postgres_memory_clean.store("aqe/test/a", 2)
        await asyncio.sleep(0.1)
        assert await postgres_memory_clean.retrieve("aqe/test/a") == 2


class TestPostgresMemoryRealSearch:
    async def test_a_pattern_finds_what_matches_sorted(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/plan/v{at}": at for at in (3, 1, 2)})
        await postgres_memory_clean.store("aqe/other", 0)
        found = await postgres_memory_clean.search("aqe/plan/*")
        assert list(found.items()) == [("aqe/plan/v1", 1), ("aqe/plan/v2", 2), ("aqe/plan/v3", 3)]

    async def test_like_wildcards_mean_themselves(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many({"aqe/a_c": 1, "aqe/abc": 2, "aqe/a%": 3})
        assert await postgres_memory_clean.search("aqe/a_c") == {"aqe/a_c": 1}
        assert await postgres_memory_clean.search("aqe/a%*") == {"aqe/a%": 3}
        assert await postgres_memory_clean.list_keys("aqe/a_") == ["aqe/a_c"]

    async def test_a_search_without_matches_is_empty(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        assert await postgres_memory_clean.search("aqe/none/*") == {}

    async def test_keys_are_listed_by_prefix_in_order(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many(dict.fromkeys(["aqe/b/2", "aqe/b/1", "aqe/c"], 0))
        assert await postgres_memory_clean.list_keys("aqe/b/") == ["aqe/b/1", "aqe/b/2"]
        assert len(await postgres_memory_clean.list_keys()) == 3

    async def test_a_prefix_search_reads_one_index_range(
        self, postgres_memory_clean: PostgresMemory, postgres_url: str
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/n/{at:04}": at for at in range(2_000)})
        query = (
            "EXPLAIN SELECT key FROM lionagi_qe.entries WHERE fleet = 1 AND key >= 'aqe/n/10' "
            "AND key < 'aqe/n/11' AND gone IS NULL ORDER BY key LIMIT 10"
        )
        connection = await asyncpg.connect(postgres_url)
        try:
            # As the function that pages are read by has it.
            for way in ("sort", "seqscan", "bitmapscan"):
                await connection.execute(f"SET enable_{way} = off")
            plan = "\n".join(row[0] for row in await connection.fetch(query))
        finally:
            await connection.close()
        assert "entries_pkey" in plan
        assert "Sort" not in plan


class TestPostgresMemoryRealPartitions:
    async def test_partitions_are_isolated(self, postgres_memory_clean: PostgresMemory) -> None:
        await postgres_memory_clean.store("aqe/test/a", 1, partition="planning")
        await postgres_memory_clean.store("aqe/test/b", 2, partition="execution")
        assert await postgres_memory_clean.list_keys(partition="planning") == ["aqe/test/a"]
        found = await postgres_memory_clean.search("aqe/*", partition="execution")
        assert found == {"aqe/test/b": 2}

    async def test_clearing_a_partition_spares_the_others(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/p/{at}": at for at in range(30)}, None, "p")
        await postgres_memory_clean.store("aqe/q", 1, partition="q")
        assert await postgres_memory_clean.clear_partition("p") == 30
        assert await postgres_memory_clean.list_keys() == ["aqe/q"]


class TestPostgresMemoryRealStatistics:
    async def test_keys_and_partitions_are_counted(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/a/{at}": at for at in range(7)}, None, "p")
        await postgres_memory_clean.store("aqe/b", 1)
        stats = await postgres_memory_clean.get_stats()
        assert stats["total_keys"] == 8
        assert stats["partitions"] == {"default": 1, "p": 7}

    async def test_sizes_are_those_of_the_values_and_of_the_table(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        await postgres_memory_clean.store("aqe/a", "x" * 998)
        stats = await postgres_memory_clean.get_stats()
        assert stats["size_bytes"] == 1_000
        assert stats["server"]["table_bytes"] > 0
        assert 1 <= stats["server"]["connected_clients"] <= stats["server"]["max_connections"]

    async def test_the_server_is_described_with_its_durability(
        self,
        postgres_memory_clean: PostgresMemory,
        database_health: Callable[[PostgresMemory], Awaitable[ServerHealth]],
    ) -> None:
        health = await database_health(postgres_memory_clean)
        assert health.server.startswith("PostgreSQL 1")
        assert health.seconds > 0
        facts = await postgres_memory_clean.describe()
        assert facts["durability"] == "every acknowledged write survives a crash"


class TestPostgresMemoryRealConcurrency:
    async def test_concurrent_writes_all_arrive(
        self, postgres_memory_clean: PostgresMemory, run_concurrently: Callable[..., Any]
    ) -> None:
        await run_concurrently(
            lambda at: postgres_memory_clean.store(f"aqe/n/{at}", at),  # pyright: ignore[reportUnknownLambdaType]
            150,
        )
        for at in range(150):
            assert await postgres_memory_clean.retrieve(f"aqe/n/{at}") == at

    async def test_concurrent_reads_and_writes_of_one_key_keep_it_whole(
        self, postgres_memory_clean: PostgresMemory, run_concurrently: Callable[..., Any]
    ) -> None:
        await postgres_memory_clean.store("aqe/k", [0] * 100)

        async def work(at: int) -> None:
            if at % 2:
                await postgres_memory_clean.store("aqe/k", [at] * 100)
            else:
                assert len(set(await postgres_memory_clean.retrieve("aqe/k"))) == 1

        await run_concurrently(work, 200)

    async def test_a_hundred_updates_of_two_handles_all_count(
        self, postgres_memory_clean: PostgresMemory, postgres_url: str
    ) -> None:
        async with PostgresMemory(postgres_url, fleet=postgres_memory_clean.fleet) as other:
            handles = (postgres_memory_clean, other)
            await asyncio.gather(
                *(
                    handles[at % 2].update("aqe/n", lambda n: n + 1, default=0, timeout=60)
                    for at in range(100)
                )
            )
        assert await postgres_memory_clean.retrieve("aqe/n") == 100

    async def test_overlapping_batches_do_not_deadlock(
        self, postgres_memory_clean: PostgresMemory, postgres_url: str
    ) -> None:
        keys = [f"aqe/n/{at:02}" for at in range(40)]
        async with PostgresMemory(postgres_url, fleet=postgres_memory_clean.fleet) as other:
            for _ in range(10):
                await asyncio.gather(
                    postgres_memory_clean.store_many(dict.fromkeys(keys, 1)),
                    other.store_many(dict.fromkeys(reversed(keys), 2)),
                    other.delete_many(keys[::-3]),
                )


class TestPostgresMemoryRealPool:
    async def test_a_burst_never_exceeds_the_pool(self, postgres_url: str) -> None:
        async with PostgresMemory(postgres_url, fleet="pool", pool_size=3) as memory:
            watching = True
            most = 0

            async def watch() -> None:
                nonlocal most
                query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
                connection = await asyncpg.connect(postgres_url)
                while watching:
                    most = max(most, await connection.fetchval(query, "lionagi-qe"))
                await connection.close()

            others = await ask(
                postgres_url,
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lionagi-qe'",
            )
            watcher = asyncio.create_task(watch())
            await asyncio.gather(*(memory.store(f"aqe/n/{at}", at) for at in range(5_000)))
            watching = False
            await watcher
            assert 0 < most <= others - 1 + 3
            assert await memory.clear_partition("default") == 5_000

    async def test_a_pool_of_ones_own_is_used_and_left_open(self, postgres_url: str) -> None:
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=2) as pool:
            async with PostgresMemory(pool=pool, fleet="own-pool") as memory:
                await memory.store("aqe/a", 1)
                assert await memory.retrieve("aqe/a") == 1
                await memory.delete("aqe/a")
            assert await pool.fetchval("SELECT 1") == 1

    async def test_a_schema_of_ones_own_holds_the_tables(self, postgres_url: str) -> None:
        async with PostgresMemory(postgres_url, schema='My "Schema"') as memory:
            await memory.store("aqe/a", 1)
        assert await ask(postgres_url, 'SELECT count(*) FROM "My ""Schema""".entries') == 1
        async with PostgresMemory(f"{postgres_url}?schema=another") as memory:
            assert await memory.retrieve("aqe/a") is None

    async def test_who_outlives_the_schema_meets_nobody_in_the_next_one(
        self, postgres_url: str
    ) -> None:
        schema = "made_anew"
        async with PostgresMemory(postgres_url, schema=schema, fleet="former") as former:
            await former.store("aqe/a", 1)
            await ask(postgres_url, f"DROP SCHEMA {schema} CASCADE")
            async with PostgresMemory(postgres_url, schema=schema, fleet="latter") as latter:
                await latter.store("aqe/a", 2)
                assert await former.retrieve("aqe/a") is None
                assert await former.clear_partition("default") == 0
                with contextlib.suppress(errors.AqeError):
                    await former.store("aqe/a", 3)
                assert await latter.retrieve("aqe/a") == 2

    @pytest.mark.parametrize("schema", ["x" * 64, "it's", "a\\b", "$body$", "{schema}", "a\x00"])
    def test_a_schemas_name_that_would_be_read_as_more_is_refused(self, schema: str) -> None:
        with pytest.raises(errors.AqeError, match="schema"):
            PostgresMemory("postgresql://nobody@localhost/none", schema=schema)

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    async def test_a_stricter_default_isolation_loses_no_increment(
        self, postgres_url: str, level: str
    ) -> None:
        query = f"schema=isolation&default_transaction_isolation={level.replace(' ', '%20')}"
        url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}{query}"
        async with PostgresMemory(url) as one, PostgresMemory(url) as other:
            await one.delete("aqe/n")

            async def count(memory: PostgresMemory) -> None:
                for _ in range(50):
                    await memory.increment("aqe/n")

            await asyncio.gather(count(one), count(other))
            assert await one.retrieve("aqe/n") == 100

    async def test_connections_that_the_server_ended_are_replaced(self, postgres_url: str) -> None:
        async with PostgresMemory(postgres_url, fleet="ended", timeout=20) as memory:
            await memory.store("aqe/a", 1)
            await ask(
                postgres_url,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'lionagi-qe'",
            )
            assert await memory.retrieve("aqe/a") == 1
            assert await memory.delete("aqe/a")


class TestPostgresMemoryRealNamespace:
    @pytest.mark.parametrize("key", ["test/a", "aqe", "aqe/", "/aqe/a", "AQE/a"])
    async def test_keys_outside_the_namespace_are_refused(
        self, postgres_memory_clean: PostgresMemory, key: str
    ) -> None:
        with pytest.raises(errors.InvalidKeyError, match="key"):
            await postgres_memory_clean.store(key, 1)
        assert await postgres_memory_clean.list_keys() == []

    async def test_text_that_looks_like_sql_is_only_text(
        self, postgres_memory_clean: PostgresMemory
    ) -> None:
        hostile = "aqe/'; DROP TABLE lionagi_qe.entries; --"
        await postgres_memory_clean.store(hostile, hostile, partition="'; DROP SCHEMA x; --")
        assert await postgres_memory_clean.search("aqe/'*") == {hostile: hostile}


class TestPostgresMemoryRealDurability:
    async def test_entries_survive_a_restart_and_a_crash_of_the_server(
        self, own_postgres: Callable[..., PostgresServer]
    ) -> None:
        server = own_postgres()
        async with PostgresMemory(server.url, timeout=30) as memory:
            await memory.store("aqe/restart", "kept")
            await asyncio.to_thread(server.restart)
            assert await memory.retrieve("aqe/restart") == "kept"
            await memory.store("aqe/crash", "kept")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert await memory.retrieve("aqe/crash") == "kept"
            assert await memory.store("aqe/crash", 2) > 0

    async def test_a_database_that_is_not_utf8_is_refused(self, postgres_url: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        try:
            await connection.execute(
                "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 "
                "LC_COLLATE 'C' LC_CTYPE 'C'"
            )
            memory = PostgresMemory(postgres_url.rsplit("/", 1)[0] + "/latin")
            with pytest.raises(errors.ConfigurationError, match="UTF8"):
                await memory.open()
            await memory.close()
            await connection.execute("DROP DATABASE latin WITH (FORCE)")
        finally:
            await connection.close()


class TestPostgresMemoryRealPerformance:
    async def test_bulk_writes(
        self,
        postgres_memory_clean: PostgresMemory,
        performance_tracker: PerformanceTracker,
        large_test_data: dict[str, Any],
    ) -> None:
        entries = large_test_data["entries"]
        with performance_tracker.measure("PostgreSQL store_many", len(entries)):
            await postgres_memory_clean.store_many(entries)
        with performance_tracker.measure("PostgreSQL 100 stores, one by one", 100):
            for at in range(100):
                await postgres_memory_clean.store(f"aqe/one/{at}", at)
        assert len(await postgres_memory_clean.list_keys("aqe/large/")) == len(entries)

    async def test_search_of_fifty_keys(
        self, postgres_memory_clean: PostgresMemory, performance_tracker: PerformanceTracker
    ) -> None:
        await postgres_memory_clean.store_many({f"aqe/other/{at}": at for at in range(2_000)})
        await postgres_memory_clean.store_many({f"aqe/wanted/{at}": at for at in range(50)})
        with performance_tracker.measure("PostgreSQL search of 50 keys", 50):
            found = await postgres_memory_clean.search("aqe/wanted/*")
        assert len(found) == 50

    async def test_concurrent_operations(
        self, postgres_memory_clean: PostgresMemory, performance_tracker: PerformanceTracker
    ) -> None:
        with performance_tracker.measure("PostgreSQL 1,000 stores at once", 1_000):
            await asyncio.gather(
                *(postgres_memory_clean.store(f"aqe/n/{at}", at) for at in range(1_000))
            )
        assert (await postgres_memory_clean.get_stats())["total_keys"] == 1_000
