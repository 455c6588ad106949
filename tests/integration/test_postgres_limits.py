"""What a claim of a queue with limits reads in PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    import asyncpg

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
        session: PostgresSession = parts_of(memory).backend.jobs._session  # type: ignore[attr-defined]
        async with session.connection(mutates=True) as connection:
            if analysed:
                # As autovacuum does at any time: what plans are made of changes.
                await connection.execute(f"ANALYZE {session.sql.schema}.jobs")
            # One that makes its plans anew reads catalogs, too.
            blocks = [await _blocks_of_a_claim(connection, session) for _ in range(4)]
            assert min(blocks) < FEW_BLOCKS, blocks


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
