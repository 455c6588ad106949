"""Fenced leases in PostgreSQL: rows that a fenced change locks against a takeover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import AccessDeniedError
from lionagi_qe.persistence.contract.leases import KEPT_MS, Tenure

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.postgres.session import PostgresSession


class PostgresLeases:
    """The leases of the backend's fleet; each call is one statement."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Upsert the row if its lease has ended; the token is a new revision."""
        row = None
        # None only if another made the row after our statement's snapshot: then it's there now.
        while row is None:
            try:
                async with self._session.connection(mutates=True) as connection:
                    row = await connection.fetchrow(
                        self._session.sql["acquire_lease"],
                        self._session.fleet,
                        name,
                        holder,
                        ttl_ms,
                    )
            except AccessDeniedError:
                raise self._session.refused(f"lease {name!r}") from None
        return Tenure(*row)

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Move the end, unless it has come."""
        return await self._extend(fence, ttl_ms)

    async def release(self, fence: Fence) -> bool:
        """Let the end be now."""
        return await self._extend(fence, 0)

    async def _extend(self, fence: Fence, ttl_ms: int) -> bool:
        async with self._session.connection(mutates=True) as connection:
            extended = await connection.fetchval(
                self._session.sql["extend_lease"],
                self._session.fleet,
                fence.name,
                fence.token,
                ttl_ms,
            )
        return bool(extended)

    async def exchange(self, name: str, old: str, new: str) -> bool:
        """Update the row, if its holder is the same."""
        async with self._session.connection(mutates=True) as connection:
            found = await connection.fetchval(
                self._session.sql["exchange_holder"], self._session.fleet, name, old, new
            )
        return found is not None

    async def look(self, name: str) -> Tenure | None:
        """Read the row."""
        async with self._session.connection() as connection:
            row = await connection.fetchrow(
                self._session.sql["find_lease"], self._session.fleet, name
            )
        return row and Tenure(*row)

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Read the rows."""
        async with self._session.connection() as connection:
            rows = await connection.fetch(
                self._session.sql["list_leases"], self._session.fleet, after, limit
            )
        return [(name, Tenure(*rest)) for name, *rest in rows]

    async def forget(self) -> None:
        """Remove what ended long ago: part of a sweep."""
        async with self._session.connection(mutates=True) as connection:
            await connection.execute(
                self._session.sql["forget_leases"], self._session.fleet, KEPT_MS
            )
