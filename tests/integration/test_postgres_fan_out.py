"""What it reads in PostgreSQL to put many jobs after one, and to free them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.postgres

MANY = 300
# Look-ups of each job, with those of its older versions in this transaction; all of the fleet's would be
# a multiple of MANY.
FEW = 40


@pytest.fixture
async def looking(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def test_jobs_after_one_are_looked_up_by_their_ids_whatever_the_planner_knows(
    postgres_url: str, looking: asyncpg.Connection
) -> None:
    async def read(*, inserted: int, updated: int) -> int:
        """Return how many jobs were read by index, once the server has counted these changes."""
        found = 0

        async def is_counted() -> bool:
            nonlocal found
            row = await looking.fetchrow(
                "SELECT n_tup_ins, n_tup_upd, idx_tup_fetch FROM pg_stat_user_tables "
                "WHERE relname = 'jobs'"
            )
            assert row is not None
            found = row["idx_tup_fetch"]
            return row["n_tup_ins"] >= inserted and row["n_tup_upd"] >= updated

        await until(is_counted)
        return found

    async with open_memory(postgres_url, fleet="fan-out") as memory:
        queue = WorkQueue(memory, "q")
        first = await queue.put("first")
        await queue.put_many([NewJob(at, after=[first]) for at in range(MANY)])
        assert await read(inserted=MANY + 1, updated=MANY) < FEW * MANY
        (job,) = await queue.claim()
        await job.ack()
        assert await read(inserted=MANY + 1, updated=2 * MANY) < 2 * FEW * MANY
        assert (await queue.stats()).ready == MANY
