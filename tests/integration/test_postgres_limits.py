"""What a claim of a queue with limits reads in PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    import asyncpg

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.postgres.session import PostgresSession

pytestmark = pytest.mark.postgres

LONG = 600.0
BACKLOG = 5_000
# More than two hundred blocks of jobs, against some for each index and its changes.
PAYLOAD = "x" * 300
FEW_BLOCKS = 120


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("key", ["full", None])
async def test_a_claim_reads_no_more_where_thousands_wait(
    postgres_url: str, key: str | None, *, analysed: bool
) -> None:
    async with open_memory(postgres_url, fleet=f"backlog-{key}") as memory:
        queue = WorkQueue(memory, "q")
        if key is not None:
            await queue.limit(per="key", concurrency=1)
            await queue.put(0, limit_key=key)
            await queue.claim(1, LONG)
        # Plans of functions are made, and kept, while the tables are next to empty.
        for at in range(10):
            await queue.put(at, limit_key=key and f"free-{at}")
            (job,) = await queue.claim(1, LONG)
            await job.ack()
        for _ in range(BACKLOG // 1_000):
            await queue.put_many([NewJob(PAYLOAD, limit_key=key)] * 1_000)
        for at in range(4):
            await queue.put(1, limit_key=key and f"last-{at}")
        session = _session_of(memory)
        async with session.connection(mutates=True) as connection:
            if analysed:
                # As autovacuum does at any time: what plans are made of changes.
                await connection.execute(f"ANALYZE {session.sql.schema}.jobs")
            # One that makes its plans anew reads catalogs, too.
            blocks = [await _blocks_of_a_claim(connection, session) for _ in range(4)]
            assert min(blocks) < FEW_BLOCKS, blocks


def _session_of(memory: Memory) -> PostgresSession:
    return parts_of(memory).backend.jobs._session  # type: ignore[attr-defined]


async def _blocks_of_a_claim(connection: asyncpg.Connection, session: PostgresSession) -> int:
    text = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {session.sql['claim_jobs']}",
        session.fleet,
        "q",
        1,
        60_000,
        '"ended"',
    )
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    assert plan["Actual Rows"] == 1
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def test_a_limit_that_was_a_deadlocks_victim_is_set_all_the_same(postgres_url: str) -> None:
    async with open_memory(postgres_url, fleet="deadlock") as memory:
        queue = WorkQueue(memory, "q")
        await queue.limit(concurrency=1)
        session = _session_of(memory)
        schema, fleet = session.sql.schema, session.fleet
        async with session.connection(mutates=True) as other, other.transaction():
            # The server looks for a circle when somebody has waited for so long: not this one.
            await other.execute("SET LOCAL deadlock_timeout = '1h'")
            await other.execute(
                f"SELECT FROM {schema}.job_limits WHERE fleet = $1 AND queue = 'q' FOR UPDATE",
                fleet,
            )
            setting = asyncio.create_task(queue.limit(concurrency=7))
            waits = """
                SELECT count(*) FROM pg_locks
                WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
            """
            while not await other.fetchval(waits):  # noqa: ASYNC110 - a server tells nobody
                await asyncio.sleep(0.01)
            # It holds this, and waits for us.
            lock = f"SELECT pg_advisory_xact_lock({schema}.line_lock($1, 'q'))"
            await other.execute(lock, fleet)
            assert not setting.done()
        await setting
        assert [limit.concurrency for limit in await queue.limits()] == [7]


@pytest.mark.parametrize("state", ["40001", "55P03"])
async def test_a_limit_is_set_again_that_the_server_refused_for_another_change(
    postgres_url: str, state: str
) -> None:
    schema = f"refused_{state.lower()}"
    joint = "&" if "?" in postgres_url else "?"
    async with open_memory(f"{postgres_url}{joint}schema={schema}", fleet="refused") as memory:
        queue, session = WorkQueue(memory, "q"), _session_of(memory)
        async with session.connection(mutates=True) as connection:
            # What a sequence gave is not taken back with the change that asked for it.
            await connection.execute(f"""
                CREATE SEQUENCE {schema}.tries;
                CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('{schema}.tries') < 3 THEN
                        RAISE EXCEPTION 'another change came between' USING ERRCODE = '{state}';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON {schema}.job_limits
                    FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
            """)
            await queue.limit(concurrency=7)
            assert [limit.concurrency for limit in await queue.limits()] == [7]
            tries = (
                "SELECT last_value FROM pg_sequences WHERE schemaname = $1 AND sequencename = $2"
            )
            assert await connection.fetchval(tries, schema, "tries") == 3
