"""What a backend offers to watchers: its changes in an order, from any position still kept.

What is told is each entry's last change, and of a deleted or expired one the tombstone it left; so
states of one key that nobody read in time are merged into the last. SQLite and Redis find entries
by their last revision, PostgreSQL by a log of the keys that each statement changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.records import Record

Kind = Literal["stored", "deleted", "expired"]
# What a backend's number for the reason of a removal says.
KINDS: tuple[Kind, Kind, Kind] = ("stored", "deleted", "expired")

# Tombstones are kept for at least this long.
KEPT_SECONDS = 300
LOST = (
    "this position is no longer kept: deletions are remembered for 5 minutes, and some since then "
    "are forgotten; read what is stored anew (since='start', or scan) and go on from there"
)
REWOUND = (
    "this position is ahead of the store, which was emptied, restored or lost its last writes; "
    "read what is stored anew (since='start', or scan) and go on from there"
)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """The last change of a key.

    Attributes:
        kind: what happened.
        key: to which key.
        revision: of the entry or of its removal.
        entry: what is stored; None for a removal, and if values weren't asked for.
        position: the one right behind this change; of a copy, the one before its page.
    """

    kind: Kind
    key: str
    revision: int
    entry: Record | None
    position: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Changes after a position; ``more`` if further ones are known to wait."""

    records: Sequence[LogRecord]
    position: str
    more: bool


class ChangeLog(Protocol):
    """Reads changes. Positions are texts that only the backend itself understands."""

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Return the position before all that is stored if ``oldest``, else the one of now.

        Without ``removals`` the reader doesn't care for them: what it reads from then on may lack
        some, and is never too old: it copies. Entries then come in the order of their revisions,
        each round's for itself, and ``finish`` tells the end.
        """
        ...

    async def check(self, position: str) -> None:
        """Raise InvalidArgumentError if ``position`` is none of this backend's."""
        ...

    async def clock(self) -> int:
        """Return the time in ms since 1970 by which entries expire."""
        ...

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Return changes of keys that start with ``prefix``, looking at up to ``limit``.

        Of each key only the last change is there. With ``bury``, what has expired becomes
        tombstones, to be read next; without, nothing is written. WatchTooOldError if deletions
        after ``position`` may have been forgotten, or what a copy needs.
        """
        ...

    async def finish(self, position: str, limit: int) -> bool:
        """Let go up to ``limit`` of what is kept for the copy that ``position`` is of.

        Returns whether more may be kept. Positions of that copy are too old from then on.
        """
        ...


def bad_position(position: str, backend: str) -> InvalidArgumentError:
    """Return the error for a position that ``backend`` did not make."""
    return InvalidArgumentError(
        f"since {position!r}: no position of a {backend} memory; give one that Change.cursor or "
        "Watch.cursor of this memory told, 'start', or None for now on"
    )
