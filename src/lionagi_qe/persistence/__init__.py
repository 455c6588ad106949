"""The shared memory: one contract on SQLite, PostgreSQL and Redis."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.connect import open_memory, open_memory_sync
from lionagi_qe.persistence.encryption.keys import KeyRing
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.named_entries import NamedEntries
from lionagi_qe.persistence.recall.declaration import Declaration as IndexDeclaration
from lionagi_qe.persistence.recall.embedding import register_embedding
from lionagi_qe.persistence.recall.ranking import Recalled
from lionagi_qe.persistence.sync_memory import SyncMemory
from lionagi_qe.persistence.values.entry import INHERIT, Entry, Item

if TYPE_CHECKING:
    from lionagi_qe.persistence.postgres.memory import PostgresMemory
    from lionagi_qe.persistence.redis.memory import RedisMemory
    from lionagi_qe.persistence.sqlite.memory import SqliteMemory

__all__ = [
    "INHERIT",
    "Entry",
    "IndexDeclaration",
    "Item",
    "KeyRing",
    "Memory",
    "NamedEntries",
    "PostgresMemory",
    "Recalled",
    "RedisMemory",
    "SqliteMemory",
    "SyncMemory",
    "open_memory",
    "open_memory_sync",
    "register_embedding",
]

# Drivers load when they are used.
_LAZY = {"PostgresMemory": "postgres", "RedisMemory": "redis", "SqliteMemory": "sqlite"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    """Import the backends' memories on first use."""
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_LAZY[name]}.memory"), name)
