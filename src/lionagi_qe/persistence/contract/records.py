"""What a backend answers: entries, pages of them, counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import Entry


class Record(NamedTuple):
    """A live entry as a backend holds it; times in ms since 1970 by the server's clock."""

    key: str
    payload: bytes | str
    revision: int
    partition: str
    created_ms: int
    updated_ms: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a range in key order; ``after`` continues it, None when the range is done."""

    records: list[Record]
    after: str | None


@dataclass(frozen=True, slots=True)
class PayloadPage:
    """Like Page, keys and values alone."""

    payloads: list[tuple[str, bytes | str]]
    after: str | None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Like Page, keys alone."""

    keys: list[str]
    after: str | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """How many expired entries one step removed, and whether more is due."""

    expired: int
    more: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of one fleet. ``exact`` is False where a figure is an estimate.

    ``server`` are figures of the server, numbers as numbers; ``pool`` those of this process's
    connections to it.
    """

    total_keys: int
    total_expired: int
    partitions: dict[str, int]
    size_bytes: int
    exact: bool
    server: dict[str, Any] = field(default_factory=dict[str, Any])
    pool: dict[str, int] = field(default_factory=dict[str, int])


def entry_of(record: Record) -> Entry:
    """Decode a backend's record."""
    return Entry(
        record.key,
        decode(record.payload),
        record.revision,
        record.partition,
        _moment(record.created_ms),
        _moment(record.updated_ms),
        None if record.expires_ms is None else _moment(record.expires_ms),
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
