"""A memory whose entries an administrator has partitioned; all of it: ``make partitioned``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.partitioned.recipe import make_partitioned, partition

from lionagi_qe import open_memory
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import expire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.servers import ExternalPostgres, PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer | ExternalPostgres) -> Iterator[str]:
    with postgres_server.fresh_database() as url:
        asyncio.run(make_partitioned(url))
        yield url


async def test_what_was_stored_before_is_there_and_its_revisions_go_on(url: str) -> None:
    async with open_memory(url) as memory:
        assert len(await memory.search("aqe/before/*")) == 100
        before = await memory.entry("aqe/before/7")
        assert before is not None
        await memory.store("aqe/before/7", "new", if_revision=before.revision)
        assert (await memory.get_stats())["server"]["table_bytes"] > 0


async def test_a_look_up_by_key_reads_one_part(url: str) -> None:
    plan = await plan_of(url, "payload", "'aqe/before/7'")
    assert sum("Scan" in line for line in plan) == 1, plan
    assert "Index Scan" in plan[0], plan


@pytest.mark.parametrize("statement", ["clear", "sweep"])
async def test_rows_that_go_are_read_at_their_places_and_compared_by_a_hash(
    url: str, postgres_url: str, statement: str
) -> None:
    arguments = ("'part'", "''", "9", "1000") if statement == "clear" else ("1000",)
    async with open_memory(postgres_url) as memory:
        await memory.list_keys("aqe/")
    for each in (url, postgres_url):
        plan = "\n".join(await plan_of(each, statement, *arguments))
        assert "Tid Scan on entries" in plan
        assert "hashed SubPlan" in plan


async def plan_of(url: str, statement: str, *arguments: str) -> list[str]:
    """Return the plan of a statement of ours in the default fleet."""
    async with open_memory(url) as memory:
        backend: Any = parts_of(memory).backend
        sql, fleet = backend.session.sql[statement], backend.session.fleet
    for number, argument in reversed([*enumerate((str(fleet), *arguments), 1)]):
        sql = sql.replace(f"${number}", argument)
    connection = await asyncpg.connect(url)
    try:
        # So few rows are read soonest without an index.
        await connection.execute("SET enable_seqscan = off")
        return [row[0] for row in await connection.fetch(f"EXPLAIN {sql}")]
    finally:
        await connection.close()


async def test_what_is_cleared_or_expires_takes_nothing_from_other_parts(url: str) -> None:
    # Rows of different parts have the same places in their parts.
    async with open_memory(url, fleet="places", cleanup_interval=None) as memory:
        for part in ("cleared", "kept"):
            await memory.store_many({f"aqe/{part}/{at}": at for at in range(200)}, partition=part)
        assert await memory.clear_partition("cleared") == 200
        assert len(await memory.search("aqe/kept/*")) == 200
        await memory.store_many({f"aqe/short/{at}": at for at in range(200)}, ttl=0.02)
        await expire(memory, "aqe/short/0")
        assert await memory.cleanup_expired() == 200
        assert len(await memory.search("aqe/kept/*")) == 200


async def test_to_partition_twice_is_refused_and_changes_nothing(url: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="partitioned already"):
        await partition(url)
    async with open_memory(url) as memory:
        assert await memory.exists("aqe/before/8")
