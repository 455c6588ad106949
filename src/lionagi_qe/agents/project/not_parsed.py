"""What parsing a file of somebody else's may end with."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Parsers of Python, TOML, YAML and JSON call themselves for what is nested, and end so (Python
# with MemoryError) where a hostile file nests a thousand times.
NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


def parsed(file: Path) -> ast.Module | None:
    """Return the tree of a Python file; None if it is none, or not there, or can't be read."""
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (*NOT_PARSED, OSError):
        # Who asks says what that comes to: pytest, a build or a tool tells what is wrong.
        return None


def reason(error: BaseException) -> str:
    """Return what is wrong with the file, for a message."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    return str(error)
