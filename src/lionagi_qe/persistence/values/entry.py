"""What callers hand in and get back: entries, batch items, and the checks of their arguments."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from lionagi_qe.errors import InvalidArgumentError

MAX_TTL_SECONDS = 100 * 366 * 86_400
MAX_REVISION = 2**63 - 1


class Inherit(enum.Enum):
    """Marks what isn't given: of an Item the batch decides, of a call the memory."""

    INHERIT = "inherit"


INHERIT: Final = Inherit.INHERIT


@dataclass(frozen=True, slots=True)
class Item:
    """A value of ``store_many`` with settings of its own; what isn't given, the batch decides."""

    value: Any
    ttl: float | timedelta | Inherit | None = INHERIT
    partition: str | Inherit = INHERIT
    if_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored value with what the memory knows about it; times are UTC by the server's clock."""

    key: str
    value: Any
    revision: int
    partition: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


def check_ttl(ttl: object, name: str = "ttl") -> int | None:
    """Return a TTL (seconds or timedelta; None for ever) in whole milliseconds, rounded up."""
    if ttl is None:
        return None
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        msg = f"{name} {ttl!r}: a TTL is seconds (a number) or a timedelta, or None for ever"
        raise InvalidArgumentError(msg)
    if not 0 < seconds <= MAX_TTL_SECONDS:
        most = f"at most {MAX_TTL_SECONDS} seconds"
        msg = f"{name} {ttl!r}: a TTL is above 0 and {most}; None for ever"
        raise InvalidArgumentError(msg)
    return math.ceil(seconds * 1000)


def ttl_if_given(ttl: float | None) -> float | Inherit:
    """Return a TTL that is None where nobody gave one, as calls of a memory take it."""
    return INHERIT if ttl is None else ttl


def check_revision(revision: object) -> int | None:
    """Return an expected revision: None, or an integer from 0 on."""
    if revision is None:
        return None
    if isinstance(revision, bool) or not isinstance(revision, int):
        msg = f"if_revision {revision!r}: a revision is an integer, 0 for 'must not exist'"
        raise InvalidArgumentError(msg)
    if not 0 <= revision <= MAX_REVISION:
        msg = f"if_revision {revision!r}: a revision is at least 0 and fits 64 bits"
        raise InvalidArgumentError(msg)
    return revision


def check_flag(name: str, flag: object) -> bool:
    """Return an argument that is true or false."""
    if not isinstance(flag, bool):
        msg = f"{name} {flag!r}: must be True or False"
        raise InvalidArgumentError(msg)
    return flag


def check_list(name: str, items: object) -> list[Any]:
    """Return the items of an argument that is to hold several; one text is none such."""
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        msg = f"{name} {items!r}: give a list of {name}"
        raise InvalidArgumentError(msg)
    return list(cast("Iterable[Any]", items))


def check_count(name: str, count: object, most: int | None = None) -> int:
    """Return a positive integer argument, at most ``most``."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        msg = f"{name} {count!r}: must be an integer of at least 1"
        raise InvalidArgumentError(msg)
    if most is not None and count > most:
        msg = f"{name} {count!r}: must be at most {most}"
        raise InvalidArgumentError(msg)
    return count


def check_seconds(name: str, seconds: object) -> float:
    """Return a positive number of seconds, at most MAX_TTL_SECONDS."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        msg = f"{name} {seconds!r}: must be a number of seconds"
        raise InvalidArgumentError(msg)
    if not 0 < seconds <= MAX_TTL_SECONDS:
        msg = f"{name} {seconds!r}: must be above 0 and at most {MAX_TTL_SECONDS} seconds"
        raise InvalidArgumentError(msg)
    return float(seconds)
