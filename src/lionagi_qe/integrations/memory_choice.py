"""A memory that an adapter was handed, or one that it opens from a URL and must close."""

from __future__ import annotations

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence import Memory, open_memory


def choose_memory(memory: Memory | str) -> tuple[Memory, bool]:
    """Return the memory, and whether it was made here and so is the adapter's to close."""
    if isinstance(memory, Memory):
        return memory, False
    # Callers of other frameworks are often untyped.
    if isinstance(memory, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return open_memory(memory), True
    raise InvalidArgumentError(
        f"memory {memory!r}: give a Memory or its URL, for example sqlite:///memory.db"
    )
