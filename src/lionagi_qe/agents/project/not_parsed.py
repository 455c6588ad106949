"""What parsing a file of somebody else's may end with."""

from __future__ import annotations

# Parsers of Python, TOML, YAML and JSON call themselves for what is nested, and end so (Python
# with MemoryError) where a hostile file nests a thousand times.
NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


def reason(error: BaseException) -> str:
    """Return what is wrong with the file, for a message."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    return str(error)
