"""What calls that name their job or entry read in PostgreSQL, whatever it knows of its tables."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

pytestmark = pytest.mark.postgres

NAME = "lookups"
LONG = 600.0
MANY = 3_000


async def _call_each(memory: Memory, queue: WorkQueue) -> None:
    """Make each call that names an entry or a job, of jobs in each of their states."""
    await memory.store("aqe/one", 1)
    assert await memory.retrieve("aqe/one") == 1
    assert await memory.retrieve_many(["aqe/one"]) == {"aqe/one": 1}
    assert await memory.entry("aqe/one") is not None
    assert await memory.list_keys("aqe/one") == ["aqe/one"]

    await queue.put("worked on")
    (job,) = await queue.claim(1, LONG)
    await job.progress(0.5)
    await job.extend(LONG)
    await job.release()
    (job,) = await queue.claim(1, LONG)
    await job.ack()
    status = await queue.status(job.id)
    assert status is not None
    assert status.state == "done"

    dead = await queue.put("fails")
    (job,) = await queue.claim(1, LONG)
    await job.fail("no", retry=False)
    assert await queue.retry_dead([dead]) == 1
    (job,) = await queue.claim(1, LONG)
    await job.fail("no", retry=False)
    assert await queue.purge_dead([dead]) == 1

    await queue.cancel(await queue.put("cancelled", delay=LONG))
    await queue.put("once", dedupe=dead, dedupe_for=LONG)
    (job,) = await queue.claim(1, LONG)
    await job.ack()

    await queue.chain(["first", "then"])
    await queue.batch(["of many"], then=NewJob("at last"))
    for _ in range(4):
        (job,) = await queue.claim(1, LONG)
        await job.ack()
    await queue.chain(["falls", "with it"])
    (job,) = await queue.claim(1, LONG)
    await job.fail("no", retry=False)
    assert await queue.purge_dead() == 2


async def _read(url: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return what the ended sessions of ``NAME`` read: by partial index, and by whole table."""
    connection = await asyncpg.connect(url)
    try:
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        while await connection.fetchval(left, NAME):  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.01)
        rows = await connection.fetch(
            """SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes s
            JOIN pg_index i ON i.indexrelid = s.indexrelid
            WHERE schemaname = $1 AND indpred IS NOT NULL""",
            NAME,
        )
        tables = await connection.fetch(
            "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE schemaname = $1", NAME
        )
    finally:
        await connection.close()
    return dict(map(tuple, rows)), dict(map(tuple, tables))


async def test_a_call_that_names_its_job_or_entry_reads_no_index_of_others(
    postgres_url: str,
) -> None:
    joint = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{joint}schema={NAME}&application_name={NAME}&pool_size=2"
    async with open_memory(url, fleet="f") as memory:
        queue = WorkQueue(memory, "q")
        session = parts_of(memory).backend.jobs._session  # type: ignore[attr-defined]
        await _call_each(memory, queue)
        await queue.put_many(["long"] * 3)
        claimed = await queue.claim(3, LONG)
        async with session.connection(mutates=True) as connection:
            # As autovacuum does at any time: from now on indexes are known to be next to empty, and
            # reading all of one costs as much as finding a row in it.
            for table in ("jobs", "entries", "job_keys", "job_dependencies"):
                await connection.execute(f"ANALYZE {NAME}.{table}")
        for _ in range(6):
            await _call_each(memory, queue)
            await claimed[0].extend(LONG)
            await memory.delete("aqe/none")
            await memory.increment("aqe/counted")
        await memory.store_many({f"aqe/many/{at:04}": at for at in range(MANY)})
        await queue.put_many([NewJob(at, delay=LONG) for at in range(MANY)])
        await memory.delete("aqe/none")
        await memory.increment("aqe/counted")
        for job in claimed:
            await job.ack()
    read, gone_through = await _read(postgres_url)
    assert max(gone_through.values()) < MANY, gone_through
    of_others = {"entries_by_partition", "entries_by_expiry", "jobs_due", "jobs_ended"}
    assert {name: read[name] for name in of_others if read[name]} == {}
    # The dead ones are listed when all of them are purged, and what waits for an ended job.
    assert read["jobs_dead"] < 20, read
    assert read["job_dependencies_waiting"] < 20, read


async def test_functions_that_do_without_ways_of_planning_compile_nothing(
    postgres_url: str,
) -> None:
    """What such a plan seems to cost has it compiled, which takes longer than the call."""
    joint = "&" if "?" in postgres_url else "?"
    async with open_memory(f"{postgres_url}{joint}schema={NAME}", fleet="f"):
        pass
    connection = await asyncpg.connect(postgres_url)
    try:
        rows = await connection.fetch(
            """SELECT proname, proconfig FROM pg_proc
            WHERE pronamespace = $1::text::regnamespace
                AND array_to_string(proconfig, ' ') ~ 'enable_'""",
            NAME,
        )
    finally:
        await connection.close()
    assert len(rows) > 20
    assert [row["proname"] for row in rows if "jit=off" not in row["proconfig"]] == []
