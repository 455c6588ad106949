"""What the figures of a SQLite file mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.cli.diagnosis.finding import MIB, Finding, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FREE_SHARE = 0.5
_MUCH = 16 * MIB
# SQLite writes the log back at 4 MB unless a reader holds it up.
_LONG_LOG = 64 * MIB
_LITTLE_DISK = 256 * MIB


def findings(figures: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the figures of ``persistence.sqlite.inspection``."""
    total, free = figures["bytes"], figures["free_bytes"]
    if free > _MUCH and free > total * _FREE_SHARE:
        yield Finding(
            "bloat",
            "advice",
            f"{size(free)} of the file's {size(total)} are free pages",
            "they are used again before the file grows, but are not given back to the disk",
            f"Run VACUUM while nobody writes, if you need the {size(free)}",
        )
    wal = figures.get("wal_bytes", 0)
    if wal > max(_LONG_LOG, total):
        yield Finding(
            "wal",
            "problem",
            f"the write-ahead log has {size(wal)}",
            "a reader that stays open keeps it from being written back: it grows, reads get slow",
            "Find the program that has a transaction open for long (a shell, a backup), and end it",
        )
    left = figures.get("disk_free_bytes")
    if left is not None and left < max(_LITTLE_DISK, total // 10):
        yield Finding(
            "disk",
            "problem",
            f"{size(left)} are left on the file's disk",
            "when it is full every write is refused; what was acknowledged stays",
            "Make room, or move the file to a larger disk",
        )
    # A private memory has no log.
    if figures["journal_mode"] != "wal" and "wal_bytes" in figures:
        yield Finding(
            "journal",
            "problem",
            f"the journal mode is {figures['journal_mode']}, not wal",
            "readers and writers wait for each other; a file system of a network may be the reason",
            "Put the file on a local disk",
        )
