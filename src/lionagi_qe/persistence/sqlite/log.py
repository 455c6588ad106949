"""The changes of a SQLite memory, ordered by revision: writers commit one after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import WatchTooOldError
from lionagi_qe.persistence.contract.change_log import (
    KINDS,
    LOST,
    REWOUND,
    LogPage,
    LogRecord,
    bad_position,
)
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.sqlite import statements as sql
from lionagi_qe.persistence.sqlite.schema import in_transaction, now
from lionagi_qe.persistence.values.entry import MAX_REVISION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import apsw

    from lionagi_qe.persistence.contract.records import Sweep
    from lionagi_qe.persistence.sqlite.session import SqliteSession

MAX_PAGE_BYTES = 16 * 1024 * 1024
# The revision last read, and which forgotten ones a reader from the start need not know.
_POSITION = re.compile(r"s1:(\d+):(\d+)")


class SqliteLog:
    """The changes of the backend's fleet."""

    def __init__(self, session: SqliteSession, sweep: Callable[[int], Awaitable[Sweep]]) -> None:
        self._session = session
        self._sweep = sweep

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Begin before the first revision or after the newest."""

        def look(connection: apsw.Connection) -> Any:  # noqa: ANN401 - a row
            return connection.execute(
                sql.LOG_STATE, {"fleet": self._session.fleet, "now": now()}
            ).get

        newest, forgotten, _ = await self._session.read(look)
        known = forgotten if removals else MAX_REVISION
        return _text(0 if oldest else newest, known)

    async def clock(self) -> int:
        """Tell this host's time."""
        return now()

    async def check(self, position: str) -> None:
        """Parse it."""
        _parse(position)

    async def finish(self, position: str, limit: int) -> bool:  # noqa: ARG002 - the protocol's
        """Keep nothing for copies."""
        return False

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Read in order of revisions, after burying what is due."""
        after, known = _parse(position)

        def read(connection: apsw.Connection) -> tuple[LogPage, bool]:
            return in_transaction(
                connection,
                lambda connection: self._page(connection, after, known, prefix, limit, values),
                kind="DEFERRED",
            )

        page, due = await self._session.read(read)
        if due and bury and (await self._sweep(limit)).expired:
            return LogPage(page.records, page.position, more=True)
        return page

    def _page(  # noqa: PLR0913, PLR0917 - the read's own arguments
        self,
        connection: apsw.Connection,
        after: int,
        known: int,
        prefix: str,
        limit: int,
        values: bool,  # noqa: FBT001
    ) -> tuple[LogPage, bool]:
        bound = {"fleet": self._session.fleet, "now": now(), "after": after, "limit": limit}
        state = cast("tuple[int, int, int]", connection.execute(sql.LOG_STATE, bound).get)
        newest, forgotten, due = state
        if newest < after:
            raise WatchTooOldError(REWOUND)
        if forgotten > max(after, known):
            raise WatchTooOldError(LOST)
        records: list[LogRecord] = []
        seen, room = 0, MAX_PAGE_BYTES
        for kind, *row in connection.execute(sql.LOG, bound):
            seen += 1
            key, value, after = row[:3]
            if kind is not None and key.startswith(prefix):
                entry = Record(*row) if values and not kind else None
                records.append(LogRecord(KINDS[kind], key, after, entry, _text(after, known)))
                room -= len(value) if entry else 0
                if room <= 0:
                    break
        more = seen == limit or room <= 0
        return LogPage(records, _text(after if more else newest, known), more), bool(due)


def _text(after: int, known: int) -> str:
    return f"s1:{after}:{known if known > after else 0}"


def _parse(position: str) -> tuple[int, int]:
    matched = _POSITION.fullmatch(position)
    if matched is None:
        raise bad_position(position, "SQLite")
    return int(matched[1]), int(matched[2])
