"""Limits of queues in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.limits import JobLimit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.postgres.session import PostgresSession


class PostgresLimits:
    """The limits of the backend's fleet."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Call the server's function."""
        async with self._session.connection(mutates=True) as connection:
            await connection.execute(
                self._session.sql["put_limit"],
                self._session.fleet,
                queue,
                limit.per,
                limit.concurrency,
                limit.rate,
                limit.period_ms,
                limit.burst,
            )

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Read the rows."""
        async with self._session.connection(mutates=False) as connection:
            rows = await connection.fetch(
                self._session.sql["read_limits"], self._session.fleet, queue
            )
        return [JobLimit(*row) for row in rows]
