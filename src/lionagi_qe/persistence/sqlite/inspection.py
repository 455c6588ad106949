"""What there is to know of the health of a SQLite file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.sqlite.session import MEMORY

if TYPE_CHECKING:
    import apsw

    from lionagi_qe.persistence.sqlite.backend import SqliteBackend


async def inspect(backend: SqliteBackend) -> dict[str, Any]:
    """Return the sizes of the file, of its free pages and of its write-ahead log, in bytes."""
    path = backend.session.path

    def look(connection: apsw.Connection) -> dict[str, Any]:
        page = int(connection.pragma("page_size"))
        return {
            "bytes": page * int(connection.pragma("page_count")),
            "free_bytes": page * int(connection.pragma("freelist_count")),
            "journal_mode": connection.pragma("journal_mode"),
            "synchronous": int(connection.pragma("synchronous")),
        }

    figures = await backend.session.read(look)
    return figures if path == MEMORY else {**figures, **_sizes(Path(path))}


def _sizes(file: Path) -> dict[str, int]:
    log = file.with_name(f"{file.name}-wal")
    return {
        "wal_bytes": log.stat().st_size if log.exists() else 0,
        "disk_free_bytes": shutil.disk_usage(file.parent).free,
    }
