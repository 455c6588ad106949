"""Parsing Python of somebody else's, and what that may end with."""

from __future__ import annotations

import ast
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Parsers of Python, TOML, YAML and JSON call themselves for what is nested, and end so (Python
# with MemoryError) where a hostile file nests a thousand times.
NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)

# CPython 3.11 before 3.11.8 counts the depths of trees that are made at once as one's (#106905),
# and fails where the garbage collector calls Python meanwhile, which lets the other thread go on.
_ONE_AT_A_TIME = threading.Lock()


def tree_of(text: str) -> ast.Module:
    """Return the tree of Python's text; threads wait for each other.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: those of ``NOT_PARSED``.

    """
    with _ONE_AT_A_TIME:
        return ast.parse(text)


def parsed(file: Path) -> ast.Module | None:
    """Return the tree of a Python file; None if it is none, or not there, or can't be read."""
    try:
        return tree_of(file.read_text(encoding="utf-8"))
    except (*NOT_PARSED, OSError):
        # Who asks says what that comes to: pytest, a build or a tool tells what is wrong.
        return None


def reason(error: BaseException) -> str:
    """Return what is wrong with the file, for a message."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        # Whoever tells it names the file, which may be a copy's.
        return error.strerror
    return str(error)
