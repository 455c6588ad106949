"""LionAGI QE Fleet: quality-engineering agents that share one durable memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe import errors, persistence
from lionagi_qe.errors import *  # noqa: F403 - the errors are part of the public names
from lionagi_qe.persistence import Entry, Item, Memory, SyncMemory, open_memory, open_memory_sync

if TYPE_CHECKING:
    from lionagi_qe.persistence import PostgresMemory, RedisMemory, SqliteMemory

__version__ = "0.1.0"

__all__ = [
    "Entry",
    "Item",
    "Memory",
    "PostgresMemory",
    "RedisMemory",
    "SqliteMemory",
    "SyncMemory",
    "__version__",
    "open_memory",
    "open_memory_sync",
]
__all__ += errors.__all__


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    """Import the backends' memories, and with them their drivers, on first use."""
    if name in {"PostgresMemory", "RedisMemory", "SqliteMemory"}:
        return getattr(persistence, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
