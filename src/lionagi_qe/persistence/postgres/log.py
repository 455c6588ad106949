"""The changes of a PostgreSQL memory, in rounds from snapshot to snapshot.

Revisions become visible out of order: a transaction may take one early and commit late. So a
position is the server's snapshot at the end of a round: the next round reads what that snapshot
did not see, whoever committed when, and no transaction that stays open holds anybody up.

Each statement that changes entries adds a row with their keys to a log, and a round reads those;
see ``page_of_changes`` in the schema. The log is kept for as long as deletions are. For a position
from before it, and for one that has seen nothing, a round goes through all entries in key order.
A copy's rounds come in the order of revisions: what is more than a page is arranged first.
On a standby a round ends before the oldest transaction that runs on the primary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import BackendUnavailableError, WatchTooOldError
from lionagi_qe.persistence.contract.change_log import (
    KEPT_SECONDS,
    KINDS,
    LOST,
    REWOUND,
    LogPage,
    LogRecord,
)
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.postgres.copies import PostgresCopies
from lionagi_qe.persistence.postgres.positions import CopyPosition, Position
from lionagi_qe.persistence.values.entry import MAX_REVISION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.records import Sweep
    from lionagi_qe.persistence.postgres.session import PostgresSession

# What committed after a snapshot can't be forgotten sooner: a tombstone's time is that of its
# statement, which no call lets run for so long.
_SURELY_KEPT_MS = (KEPT_SECONDS - 60) * 1000
# Most places that one reading of a small page looks at, but for those before.
_LOOKED_AT = 1_000
# Rows of the log are small, and there may be one for each entry that was stored.
_PRUNED_AT_ONCE = 10


class PostgresLog:
    """The changes of the backend's fleet."""

    def __init__(self, session: PostgresSession, sweep: Callable[[int], Awaitable[Sweep]]) -> None:
        self._session = session
        self._sweep = sweep
        self._copies = PostgresCopies(session)

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Begin with the snapshot of now, or one that saw nothing."""
        self._session.check_whole("watching changes, or copying,")
        async with self._session.connection() as connection:
            standby = await _is_standby(connection)
            if standby and not removals:
                raise self._no_copy()
            snapshot, moment, forgotten = await connection.fetchrow(
                self._session.sql["start_log_on_standby" if standby else "start_log"],
                self._session.fleet,
            )
        known = forgotten if removals else MAX_REVISION
        position = Position("1:1:" if oldest else snapshot, moment, known)
        if removals or not oldest:
            return str(position)
        return str(CopyPosition(position, await self._copies.begin()))

    async def clock(self) -> int:
        """Ask the server."""
        async with self._session.connection() as connection:
            return await connection.fetchval(self._session.sql["clock"])

    async def check(self, position: str) -> None:
        """Parse it."""
        self._session.check_whole("watching changes, or copying,")
        if CopyPosition.parse(position) is None:
            Position.parse(position)
            return
        async with self._session.connection() as connection:
            if await _is_standby(connection):
                raise self._no_copy()

    def _no_copy(self) -> BackendUnavailableError:
        msg = (
            f"{self._session.where}: is a standby, which can't note where a copy is; "
            "copy the primary"
        )
        return BackendUnavailableError(msg)

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Read a page of a round; an unfinished round goes on up to its own snapshot."""
        self._session.check_whole("watching changes, or copying,")
        if (place := CopyPosition.parse(position)) is not None:
            return await self._read_copy(place, prefix, limit, values=values)
        page, due = await self._read_enough(Position.parse(position), prefix, limit, values=values)
        if due and bury and (await self._sweep(limit)).expired:
            return replace(page, more=True)
        return page

    async def _read_enough(
        self, at: Position, prefix: str, limit: int, *, values: bool
    ) -> tuple[LogPage, bool]:
        """Look at more than ``limit`` places where all that is there was changed again since.

        Else a reader of small pages would fall behind those who write.
        """
        page, due = await self._read(at, prefix, limit, values=values)
        looked = limit
        while page.more and not page.records and looked < _LOOKED_AT:
            looked = min(looked * 8, _LOOKED_AT)
            at = Position.parse(page.position)
            page, due = await self._read(at, prefix, looked, values=values)
        if len(page.records) > limit:
            records = page.records[:limit]
            page = LogPage(records, records[-1].position, more=True)
        return page, due

    async def _read(
        self, at: Position, prefix: str, limit: int, *, values: bool
    ) -> tuple[LogPage, bool]:
        """Return a page, and whether entries have expired that nobody has buried."""
        async with self._session.connection() as connection:
            rows = await connection.fetch(
                self._session.sql["log"],
                self._session.fleet,
                *at.parameters,
                limit,
                prefix,
                values,
            )
        head = rows[0]
        if head["standby"] and at.is_ahead_of(head["snapshot"]):
            # Of the primary, or another standby: it will arrive here.
            return LogPage([], str(at), more=False), False
        _check_age(at, head["snapshot"], head["moment"], head["forgotten"])
        return _page(at, rows, values=values), head["due"] and not head["standby"]

    async def _read_copy(
        self, place: CopyPosition, prefix: str, limit: int, *, values: bool
    ) -> LogPage:
        """Read a page of a copy: a whole round if that is no more, else what is arranged."""
        if place.told is not None:
            return await self._copies.read(place, prefix, limit, values=values)
        if not place.at.target:
            page, _ = await self._read(place.at, prefix, limit, values=values)
            if not page.more:
                here, ended = str(place), replace(place, at=Position.parse(page.position))
                records = sorted(page.records, key=lambda record: record.revision)
                records = [replace(record, position=here) for record in records]
                return LogPage(records, str(ended), more=False)
        return await self._copies.arrange(place, prefix, limit)

    async def finish(self, position: str, limit: int) -> bool:
        """Let go what was arranged for a copy."""
        place = CopyPosition.parse(position)
        return place is not None and await self._copies.forget(place.copy, limit)

    async def prune(self, limit: int) -> bool:
        """Let go what the log need no longer keep, and old copies; return whether more is due."""
        most = limit * _PRUNED_AT_ONCE
        async with self._session.connection(mutates=True) as connection:
            pruned = await connection.fetchval(
                self._session.sql["prune_log"], self._session.fleet, most
            )
        return await self._copies.forget(None, limit) or pruned == most


async def _is_standby(connection: Any) -> bool:  # noqa: ANN401 - the driver's own
    return await connection.fetchval("SELECT pg_is_in_recovery()")


def _page(at: Position, rows: Sequence[Any], *, values: bool) -> LogPage:
    snapshot, moment = rows[0]["snapshot"], rows[0]["moment"]
    under_way = replace(at, target=at.target or snapshot)
    records: list[LogRecord] = []
    position, more = "", False
    for _, _, _, _, _, further, by_key, change, kind, *row in rows:
        if further is None:
            break
        more = further
        key, _, revision = row[:3]
        place = (
            replace(under_way, passed=key) if by_key else replace(under_way, change=change, key=key)
        )
        position = str(place)
        if kind is not None:
            entry = Record(*row) if values and not kind else None
            records.append(LogRecord(KINDS[kind], key, revision, entry, position))
    if more:
        return LogPage(records, position, more=True)
    # The round is done. If it began on an earlier page, what came since is for the next one.
    began_now = under_way.target == snapshot
    ended = Position(under_way.target, moment if began_now else at.moment, at.known)
    return LogPage(records, str(ended), more=not began_now)


def _check_age(at: Position, snapshot: str, moment: int, forgotten: int) -> None:
    """Raise WatchTooOldError if a deletion that the position needs may be gone."""
    if at.is_ahead_of(snapshot):
        raise WatchTooOldError(REWOUND)
    old = moment - at.moment > _SURELY_KEPT_MS
    if old and forgotten > at.known and forgotten >= at.oldest:
        raise WatchTooOldError(LOST)
