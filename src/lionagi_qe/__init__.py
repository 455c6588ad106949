"""LionAGI QE Fleet: quality-engineering agents that share one durable memory."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lionagi_qe import errors
from lionagi_qe.errors import *  # noqa: F403 - the errors are part of the public names

if TYPE_CHECKING:
    from lionagi_qe import persistence as persistence
    from lionagi_qe.persistence import (
        Entry,
        Item,
        KeyRing,
        Memory,
        PostgresMemory,
        RedisMemory,
        SqliteMemory,
        SyncMemory,
        open_memory,
        open_memory_sync,
    )

__version__ = "0.1.0"

__all__ = [
    "Entry",
    "Item",
    "KeyRing",
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
    """Import the memory on first use: pytest and ``aqe --help`` load this module without it."""
    if name == "persistence":
        return import_module("lionagi_qe.persistence")
    if name in __all__:
        return getattr(import_module("lionagi_qe.persistence"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
