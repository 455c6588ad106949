"""The changes of a PostgreSQL memory, in rounds from snapshot to snapshot.

Revisions become visible out of order: a transaction may take one early and commit late. So a
position is the server's snapshot at the end of a round: the next round reads what that snapshot
did not see, whoever committed when, and no transaction that stays open holds anybody up.

Each statement that changes entries adds a row with their keys to a log, and a round reads those;
see ``page_of_changes`` in the schema. The log is kept for as long as deletions are. For a position
from before it, and for one that has seen nothing, a round goes through all entries in key order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

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

_TAG = "p2"
# What committed after a snapshot can't be forgotten sooner: a tombstone's time is that of its
# statement, which no call lets run for so long.
_SURELY_KEPT_MS = (KEPT_SECONDS - 60) * 1000
# Rows of the log are small, and there may be one for each entry that was stored.
_PRUNED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in the log.

    Attributes:
        snapshot: the last round's; what it saw has been read.
        moment: when that was, in ms by the server's clock.
        known: the newest forgotten change that the reader need not know of.
        target: the snapshot of the round that is under way, or "".
        change, key: how far that round came in the log, which is in this order.
        passed: the last key, once it goes through the entries instead.
    """

    snapshot: str
    moment: int
    known: int
    target: str = ""
    change: int = 0
    key: str = ""
    passed: str | None = None

    @property
    def oldest(self) -> int:
        """The oldest transaction that the last round may not have seen."""
        return int(self.snapshot.split(":", 1)[0])

    def __str__(self) -> str:
        parts = [self.snapshot, str(self.moment), str(self.known)]
        if self.target:
            parts += [self.target, str(self.change), _quoted(self.key)]
            parts += [] if self.passed is None else [_quoted(self.passed)]
        return ";".join([_TAG, *parts])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` made."""
        tag, *parts = text.split(";")
        try:
            snapshot, moment, known, *round_ = parts
            position = cls(_snapshot(snapshot), int(moment), int(known))
            if round_:
                target, change, key, *passed = round_
                position = replace(
                    position,
                    target=_snapshot(target),
                    change=_count(change),
                    key=unquote(key),
                    passed=_only(passed),
                )
        except ValueError as error:
            raise bad_position(text, "PostgreSQL") from error
        if tag != _TAG:
            raise bad_position(text, "PostgreSQL")
        return position


def _quoted(key: str) -> str:
    """Return a key's text without the character that separates a position's parts."""
    return key.replace("%", "%25").replace(";", "%3B")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _only(keys: Sequence[str]) -> str | None:
    if len(keys) > 1:
        raise ValueError(keys)
    return unquote(keys[0]) if keys else None


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
                str(at.change),
                at.key,
                at.passed,
                limit,
                prefix,
                values,
            )
        head = rows[0]
        _check_age(at, head["snapshot"], head["moment"], head["forgotten"])
        page = _page(at, rows, values=values)
        if head["due"] and bury and (await self._backend.sweep(limit)).expired:
            return replace(page, more=True)
        return page

    async def prune(self, limit: int) -> bool:
        """Let go what the log need no longer keep; return whether more is due."""
        most = limit * _PRUNED_AT_ONCE
        async with self._backend.connection(mutates=True) as connection:
            pruned = await connection.fetchval(
                self._backend.sql["prune_log"], self._backend.fleet, most
            )
        return pruned == most


def _page(at: _Position, rows: Sequence[Any], *, values: bool) -> LogPage:
    snapshot, moment = rows[0]["snapshot"], rows[0]["moment"]
    under_way = replace(at, target=at.target or snapshot)
    records: list[LogRecord] = []
    position, more = "", False
    for _, _, _, _, further, by_key, change, kind, *row in rows:
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
    ended = _Position(under_way.target, moment if began_now else at.moment, at.known)
    return LogPage(records, str(ended), more=not began_now)


def _check_age(at: _Position, snapshot: str, moment: int, forgotten: int) -> None:
    """Raise WatchTooOldError if a deletion that the position needs may be gone."""
    following = int(snapshot.split(":")[1])
    if max(int(seen.split(":")[1]) for seen in (at.snapshot, at.target or at.snapshot)) > following:
        raise WatchTooOldError(REWOUND)
    old = moment - at.moment > _SURELY_KEPT_MS
    if old and forgotten > at.known and forgotten >= at.oldest:
        raise WatchTooOldError(LOST)
