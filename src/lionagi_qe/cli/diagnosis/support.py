"""Until when releases of servers are supported, where their makers name a day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from lionagi_qe.cli.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://www.postgresql.org/support/versioning/
_POSTGRESQL = {
    13: date(2025, 11, 13),
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
# Redis names no days for its open-source releases: older ones than this are told as old.
_OLDEST_REDIS = (7, 2)


def postgresql(version_num: int, today: date) -> Iterator[Finding]:
    """Judge a PostgreSQL server by its ``server_version_num``."""
    major = version_num // 10_000
    last = _POSTGRESQL.get(major)
    if last is not None and today > last:
        yield Finding(
            "version",
            "problem",
            f"PostgreSQL {major} is out of support since {last}",
            "its defects, those of security among them, are no longer mended",
            f"Plan an upgrade with pg_upgrade; {_supported(today)} are supported",
        )


def _supported(today: date) -> str:
    return (
        ", ".join(str(major) for major, last in _POSTGRESQL.items() if last >= today)
        or "later ones"
    )


def redis(version: str) -> Iterator[Finding]:
    """Judge a Redis server by its version; Valkey has no release so old."""
    numbers = version.split(".")[: len(_OLDEST_REDIS)]
    if not all(number.isdecimal() for number in numbers):
        return
    if tuple(map(int, numbers)) < _OLDEST_REDIS:
        yield Finding(
            "version",
            "advice",
            f"Redis {version} is older than {'.'.join(map(str, _OLDEST_REDIS))}",
            "the memory works on it; whether defects of security are still mended is its "
            "packager's to say, as Redis names no days for its open-source releases",
            "Look whether your distribution still updates it, else plan an upgrade",
        )
