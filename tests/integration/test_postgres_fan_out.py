"""What it reads in PostgreSQL to put many jobs after one, and to free them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import NewJob, WorkQueue
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.servers import ExternalPostgres, PostgresServer

pytestmark = pytest.mark.postgres

MANY = 300
# Look-ups of each job, with its older versions; not as many as there are jobs.
FEW = 40


@pytest.fixture
def own_url(postgres_server: PostgresServer | ExternalPostgres) -> Iterator[str]:
    """The URL of a database in which nobody else counts."""
    with postgres_server.fresh_database() as url:
        yield url


async def test_jobs_after_one_are_looked_up_by_their_ids_whatever_the_planner_knows(
    own_url: str,
) -> None:
    looking = await asyncpg.connect(own_url)

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

    async with open_memory(own_url) as memory:
        queue = WorkQueue(memory, "q")
        first = await queue.put("first")
        await queue.put_many([NewJob(at, after=[first]) for at in range(MANY)])
        assert await read(inserted=MANY + 1, updated=MANY) < FEW * MANY
        (job,) = await queue.claim()
        await job.ack()
        assert await read(inserted=MANY + 1, updated=2 * MANY) < 2 * FEW * MANY
        assert (await queue.stats()).ready == MANY
    await looking.close()
