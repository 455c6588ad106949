"""Fenced leases in SQLite: rows beside the entries, checked in the writer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.leases import KEPT_MS, Tenure
from lionagi_qe.persistence.sqlite import statements as sql
from lionagi_qe.persistence.sqlite.operations import reserve
from lionagi_qe.persistence.sqlite.schema import now

if TYPE_CHECKING:
    import apsw

    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.sqlite.session import SqliteSession


class SqliteLeases:
    """The leases of the backend's fleet."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session

    def _bound(self, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - SQL's values
        return {"fleet": self._session.fleet, "name": name, "now": now(), **more}

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Look and take in one transaction; the token is a new revision of the fleet."""

        def take(connection: apsw.Connection) -> Tenure:
            bound = self._bound(name, holder=holder, ttl=ttl_ms)
            row: Any = connection.execute(sql.FIND_LEASE, bound).get
            if row is not None and row[1] != holder:
                return Tenure(*row)
            token = reserve(connection, self._session.fleet, 1) + 1 if row is None else row[0]
            connection.execute(sql.SET_LEASE, {**bound, "token": token})
            return Tenure(token, holder, ttl_ms)

        return await self._session.transact(take)

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Move the end, unless it has come."""
        return await self._extend(fence, ttl_ms)

    async def release(self, fence: Fence) -> bool:
        """Let the end be now."""
        return await self._extend(fence, 0)

    async def _extend(self, fence: Fence, ttl_ms: int) -> bool:
        def extend(connection: apsw.Connection) -> bool:
            bound = self._bound(fence.name, token=fence.token, ttl=ttl_ms)
            connection.execute(sql.EXTEND_LEASE, bound)
            return connection.changes() == 1

        return await self._session.transact(extend)

    async def exchange(self, name: str, old: str, new: str) -> bool:
        """Update the row, if its holder is the same."""

        def change(connection: apsw.Connection) -> bool:
            connection.execute(sql.EXCHANGE_HOLDER, self._bound(name, old=old, new=new))
            return connection.changes() > 0

        return await self._session.transact(change)

    async def look(self, name: str) -> Tenure | None:
        """Read the row."""

        def find(connection: apsw.Connection) -> Tenure | None:
            row: Any = connection.execute(sql.FIND_LEASE, self._bound(name)).get
            return row and Tenure(*row)

        return await self._session.read(find)

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Read the rows."""

        def read(connection: apsw.Connection) -> list[tuple[str, Tenure]]:
            rows: list[Any] = connection.execute(
                sql.LIST_LEASES, self._bound(after, limit=limit)
            ).fetchall()
            return [(name, Tenure(*rest)) for name, *rest in rows]

        return await self._session.read(read)

    def forget(self, connection: apsw.Connection, moment: int) -> None:
        """Remove what ended long ago: part of a sweep."""
        bound = {"fleet": self._session.fleet, "before": moment - KEPT_MS}
        connection.execute(sql.FORGET_LEASES, bound)
