"""SqliteMemory: the memory contract on one SQLite file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lionagi_qe.persistence.memory import DEFAULT_TIMEOUT, Memory
from lionagi_qe.persistence.sqlite.backend import SqliteBackend
from lionagi_qe.persistence.sqlite.session import MEMORY
from lionagi_qe.persistence.values.entry import check_seconds

if TYPE_CHECKING:
    from typing import Unpack

    from lionagi_qe.persistence.memory import MemorySettings

# A locked database must be reported before the caller's own time is up.
_BUSY_SHARE = 0.9


class SqliteMemory(Memory):
    """A memory in one SQLite file, shared by all processes of this host that open it.

    Args:
        path: the file (made if it isn't there), or ":memory:" for a private memory that ends
            with it. Local file systems only: SQLite's locks don't hold on network shares.
        synchronous: "full" (every acknowledged write survives a power cut) or "normal".
        settings: see Memory.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "full",
        **settings: Unpack[MemorySettings],
    ) -> None:
        path = os.fspath(path)
        timeout = check_seconds("timeout", settings.get("timeout", DEFAULT_TIMEOUT))
        backend = SqliteBackend(
            path if path == MEMORY else os.path.abspath(path),  # noqa: PTH100 - no symlinks resolved
            synchronous=synchronous,
            busy_seconds=timeout * _BUSY_SHARE,
        )
        super().__init__(backend, **settings)
