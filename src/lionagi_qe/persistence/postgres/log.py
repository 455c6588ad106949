"""The changes of a PostgreSQL memory, in rounds from snapshot to snapshot.

Revisions become visible out of order: a transaction may take one early and commit late. So a
position is the server's snapshot at the end of a round: the next round reads what that snapshot
did not see, whoever committed when, and no transaction that stays open holds anybody up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.errors import WatchTooOldError
from lionagi_qe.persistence.backend import Record
from lionagi_qe.persistence.entry import MAX_REVISION
from lionagi_qe.persistence.log import (
    KEPT_SECONDS,
    KINDS,
    LOST,
    REWOUND,
    LogPage,
    LogRecord,
    bad_position,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.postgres.backend import PostgresBackend

_TAG = "p1"
# What committed after a snapshot can't be forgotten sooner: a tombstone's time is that of its
# statement, which no call lets run for so long.
_SURELY_KEPT_MS = (KEPT_SECONDS - 60) * 1000


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in the log.

    Attributes:
        snapshot: the last round's; what it saw has been read.
        moment: when that was, in ms by the server's clock.
        known: the newest forgotten change that the reader need not know of.
        target: the snapshot of the round that is under way, or "".
        change, revision: the last row read in that round.
    """

    snapshot: str
    moment: int
    known: int
    target: str = ""
    change: int = 0
    revision: int = 0

    @property
    def oldest(self) -> int:
        """The oldest transaction that the last round may not have seen."""
        return int(self.snapshot.split(":", 1)[0])

    def __str__(self) -> str:
        parts = (self.snapshot, self.moment, self.known, self.target, self.change, self.revision)
        return f"{_TAG};" + ";".join(map(str, parts if self.target else parts[:3]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` made."""
        tag, *parts = text.split(";")
        try:
            snapshot, moment, known, *round_ = parts
            position = cls(_snapshot(snapshot), int(moment), int(known))
            if round_:
                target, change, revision = round_
                position = replace(
                    position, target=_snapshot(target), change=int(change), revision=int(revision)
                )
        except ValueError as error:
            raise bad_position(text, "PostgreSQL") from error
        if tag != _TAG:
            raise bad_position(text, "PostgreSQL")
        return position


def _snapshot(text: str) -> str:
    """Return a snapshot's text (oldest running, next, running ones between) if it is one."""
    oldest, following, running = text.split(":")
    numbers = [int(number) for number in running.split(",") if number]
    if not 0 < int(oldest) <= int(following) or any(number < 1 for number in numbers):
        raise ValueError(text)
    return text


class PostgresLog:
    """The changes of the backend's fleet."""

    def __init__(self, backend: PostgresBackend) -> None:
        self._backend = backend

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Begin with the snapshot of now, or one that saw nothing."""
        async with self._backend.connection() as connection:
            snapshot, moment, forgotten = await connection.fetchrow(
                self._backend.sql["start_log"], self._backend.fleet
            )
        known = forgotten if removals else MAX_REVISION
        return str(_Position("1:1:" if oldest else snapshot, moment, known))

    async def clock(self) -> int:
        """Ask the server."""
        async with self._backend.connection() as connection:
            return await connection.fetchval(self._backend.sql["clock"])

    async def check(self, position: str) -> None:
        """Parse it."""
        _Position.parse(position)

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Read a page of a round; an unfinished round goes on up to its own snapshot."""
        at = _Position.parse(position)
        async with self._backend.connection() as connection:
            rows = await connection.fetch(
                self._backend.sql["log"],
                self._backend.fleet,
                at.snapshot,
                at.target or None,
                str(at.change or at.oldest),
                at.revision,
                limit,
                prefix,
                values,
            )
        snapshot, moment, forgotten, due, *_ = rows[0]
        _check_age(at, snapshot, moment, forgotten)
        page = _page(at, snapshot, moment, rows, prefix, limit, values=values)
        if due and bury and (await self._backend.sweep(limit)).expired:
            return replace(page, more=True)
        return page


def _page(  # noqa: PLR0913, PLR0917 - a row's worth of facts
    at: _Position,
    snapshot: str,
    moment: int,
    rows: Sequence[Any],
    prefix: str,
    limit: int,
    *,
    values: bool,
) -> LogPage:
    target = at.target or snapshot
    records: list[LogRecord] = []
    position, found = "", rows[0]["rows"] or 0
    head = f"{_TAG};{at.snapshot};{at.moment};{at.known};{target}"
    for _, _, _, _, change, kind, _, *row in rows if found else ():
        key, _, revision = row[:3]
        position = f"{head};{change};{revision}"
        if kind is not None and key.startswith(prefix):
            entry = Record(*row) if values and not kind else None
            records.append(LogRecord(KINDS[kind], key, revision, entry, position))
    if found == limit or len(rows) < found:
        return LogPage(records, position, more=True)
    # The round is done. If it began on an earlier page, what came since is for the next one.
    began_now = target == snapshot
    ended = _Position(target, moment if began_now else at.moment, at.known)
    return LogPage(records, str(ended), more=not began_now)


def _check_age(at: _Position, snapshot: str, moment: int, forgotten: int) -> None:
    """Raise WatchTooOldError if a deletion that the position needs may be gone."""
    following = int(snapshot.split(":")[1])
    if max(int(seen.split(":")[1]) for seen in (at.snapshot, at.target or at.snapshot)) > following:
        raise WatchTooOldError(REWOUND)
    old = moment - at.moment > _SURELY_KEPT_MS
    if old and forgotten > at.known and forgotten >= at.oldest:
        raise WatchTooOldError(LOST)
