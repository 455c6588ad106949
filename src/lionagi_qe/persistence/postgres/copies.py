"""What copies of a PostgreSQL memory read: the entries of a round in the order of their revisions.

No index has that order, as it would have to learn of each store. So a round first arranges: page by
page it notes which entries it is to tell, with their revisions, in a table whose key has the order.
Then it reads those that are still at that revision; what changed since is the next round's. Rows
stay until the copy ends, since whoever was killed comes back with an older position.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import WatchTooOldError
from lionagi_qe.persistence.contract.change_log import REWOUND, LogPage, LogRecord
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.postgres.positions import CopyPosition, Position

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.session import PostgresSession

# Places are small beside entries; and yet no statement is to take long.
_ARRANGED_AT_ONCE = 10
_MOST_AT_ONCE = 10_000
_FORGOTTEN = (
    "what was arranged for this copy is no longer kept: it ended, rested for 7 days, or the store "
    "was restored or lost its last writes; remove its checkpoint and begin it anew"
)


class PostgresCopies:
    """The copies under way of the backend's fleet."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def begin(self) -> int:
        """Return the number of a new copy."""
        async with self._session.connection(mutates=True) as connection:
            return await connection.fetchval(self._session.sql["begin_copy"], self._session.fleet)

    async def arrange(self, place: CopyPosition, prefix: str, limit: int) -> LogPage:
        """Arrange what comes next in the log or among the entries; tells none of it yet."""
        at = place.at
        async with self._session.connection(mutates=True) as connection:
            row = await connection.fetchrow(
                self._session.sql["arrange"],
                self._session.fleet,
                *at.parameters,
                min(limit * _ARRANGED_AT_ONCE, _MOST_AT_ONCE),
                prefix,
                place.copy,
                place.step,
                place.arranged,
            )
        _check(place, row["snapshot"], known=row["step"] is not None)
        at = replace(at, target=at.target or row["snapshot"])
        if row["more"] and row["by_key"]:
            at = replace(at, passed=row["key"])
        elif row["more"]:
            at = replace(at, change=row["change"], key=row["key"])
        told = None if row["more"] else (0, "")
        place = CopyPosition(at, place.copy, row["step"], row["arranged"], told)
        return LogPage([], str(place), more=True)

    async def read(self, place: CopyPosition, prefix: str, limit: int, *, values: bool) -> LogPage:
        """Read what was arranged; at the end, go on to the next round."""
        revision, key = place.told or (0, "")
        async with self._session.connection() as connection:
            rows = await connection.fetch(
                self._session.sql["arranged"],
                self._session.fleet,
                place.copy,
                place.step,
                place.arranged,
                revision,
                key,
                limit,
                prefix,
                values,
            )
        head = rows[0]
        _check(place, head["snapshot"], known=head["known"])
        here, more = str(place), False
        records: list[LogRecord] = []
        for _, _, _, _, _, further, _, _, kind, *row in rows:
            if further is None:
                break
            more = further
            key, _, revision = row[:3]
            if kind is not None:
                entry = Record(*row) if values else None
                records.append(LogRecord("stored", key, revision, entry, here))
        if more:
            return LogPage(records, str(replace(place, told=(revision, key))), more=True)
        at = Position(place.at.target, place.at.moment, place.at.known)
        return LogPage(records, str(CopyPosition(at, place.copy, place.step)), more=True)

    async def forget(self, copy: int | None, limit: int) -> bool:
        """Forget a part of a copy, or of one whose time is over; return whether there was any."""
        async with self._session.connection(mutates=True) as connection:
            return await connection.fetchval(
                self._session.sql["forget_copy"],
                self._session.fleet,
                copy,
                min(limit * _ARRANGED_AT_ONCE, _MOST_AT_ONCE),
            )


def _check(place: CopyPosition, snapshot: str, *, known: Any) -> None:  # noqa: ANN401 - of a row
    """Raise WatchTooOldError if what was arranged up to there isn't all kept."""
    if place.at.is_ahead_of(snapshot):
        raise WatchTooOldError(REWOUND)
    if not known:
        raise WatchTooOldError(_FORGOTTEN)
