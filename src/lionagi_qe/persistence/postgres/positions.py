"""Places in the changes of a PostgreSQL memory, and their texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

from lionagi_qe.persistence.contract.change_log import bad_position
from lionagi_qe.persistence.values.entry import MAX_REVISION

if TYPE_CHECKING:
    from collections.abc import Sequence

_TAG = "p2"
_COPY_TAG = "c1;"
_MAX_XID = 2**64 - 1
_MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Position:
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

    @property
    def parameters(self) -> tuple[str, str | None, str, str, str | None]:
        """The place as the statements take it that look at changes behind it."""
        return self.snapshot, self.target or None, str(self.change), self.key, self.passed

    def is_ahead_of(self, snapshot: str) -> bool:
        """Return whether it tells of transactions that had not begun by that snapshot."""
        following = int(snapshot.split(":")[1])
        told = (self.snapshot, self.target or self.snapshot)
        return max(int(text.split(":")[1]) for text in told) > following

    def __str__(self) -> str:
        parts = [self.snapshot, str(self.moment), str(self.known)]
        if self.target:
            parts += [self.target, str(self.change), quoted(self.key)]
            parts += [] if self.passed is None else [quoted(self.passed)]
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
                    change=whole_number(change),
                    key=unquote(key),
                    passed=_only(passed),
                )
        except ValueError as error:
            raise bad_position(text, "PostgreSQL") from error
        if tag != _TAG:
            raise bad_position(text, "PostgreSQL")
        return position


def quoted(key: str) -> str:
    """Return a key's text without the character that separates a position's parts."""
    return key.replace("%", "%25").replace(";", "%3B")


def whole_number(text: str, most: int = _MAX_XID) -> int:
    """Return the number that the text tells if it is one up to ``most``."""
    number = int(text)
    if not 0 <= number <= most:
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


@dataclass(frozen=True, slots=True)
class CopyPosition:
    """A place in a copy, which tells each round's entries in the order of their revisions.

    Attributes:
        at: the place in the log or among the entries.
        copy: its number.
        step: how often it had arranged by then; less would mean that the store lost something.
        arranged: the step that began to arrange the round under way; 0 if none did.
        told: revision and key of the last arranged entry that was read; None while arranging.
    """

    at: Position
    copy: int
    step: int = 0
    arranged: int = 0
    told: tuple[int, str] | None = None

    def __str__(self) -> str:
        revision, key = ("", "") if self.told is None else (self.told[0], quoted(self.told[1]))
        return f"{_COPY_TAG}{self.copy};{self.step};{self.arranged};{revision};{key};{self.at}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what ``str`` made; None if it is no copy's position."""
        if not text.startswith(_COPY_TAG):
            return None
        try:
            copy, step, arranged, revision, key, at = text.removeprefix(_COPY_TAG).split(";", 5)
            return cls(
                Position.parse(at),
                whole_number(copy, _MAX_INTEGER),
                whole_number(step, _MAX_INTEGER),
                whole_number(arranged, _MAX_INTEGER),
                (whole_number(revision, MAX_REVISION), unquote(key)) if revision else None,
            )
        except ValueError as error:
            raise bad_position(text, "PostgreSQL") from error
