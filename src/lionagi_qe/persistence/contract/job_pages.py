"""Which jobs are listed together, and what the ends of their pages consist of."""

from __future__ import annotations

import re
from typing import Literal

from lionagi_qe.errors import InvalidArgumentError

ListedState = Literal["ready", "delayed", "waiting", "claimed", "done", "dead", "cancelled"]
LISTED_STATES: tuple[ListedState, ...] = (
    "ready",
    "delayed",
    "waiting",
    "claimed",
    "done",
    "dead",
    "cancelled",
)
# What no server holds in 64 bits was never given.
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def position_of(after: str) -> tuple[int, str]:
    """Return the number and the text behind it that the end of a page consists of.

    Raises:
        InvalidArgumentError: ``after`` is not what a page gave.

    """
    number, colon, rest = after.partition(":")
    if not colon:
        raise _not_a_position(after)
    return _number(number, after), rest


def numbers_of(after: str) -> tuple[int, int]:
    """Return the two numbers that the end of a page consists of; errors as of ``position_of``."""
    first, second = position_of(after)
    return first, _number(second, after)


def place_in_line(after: str) -> tuple[str | None, str]:
    """Return the limit key of the last ready job of a page, None without, and its position there.

    No limit key has a line break.
    """
    position, line_break, key = after.partition("\n")
    return (key if line_break else None), position


def end_in_line(key: str | None, position: str) -> str:
    """Return the end of a page of ready jobs; see ``place_in_line``."""
    return position if key is None else f"{position}\n{key}"


def _number(text: str, after: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _not_a_position(after)
    return int(text)


def _not_a_position(after: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"after {after[:40]!r}: give what the page before had as its own")
