"""Which documents of a project have examples to run."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUFFIXES = frozenset({".md", ".markdown", ".rst", ".txt"})
# As the plugin that collects them, and all readers of them, know examples.
_MARKS = (
    ">>> ",
    "```py",
    "``` py",
    "~~~py",
    ".. code-block:: py",
    ".. code:: py",
    "code-block} py",
)


def documents_of(project: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the documents, with a sign of Python in them, that patterns name; ``**`` is anything.

    Args:
        project: its directory.
        patterns: of paths within it.

    """
    wanted = [pattern.replace("**", "*") for pattern in patterns]
    return [
        path
        for path in sorted(project.rglob("*"))
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and any(fnmatch(path.relative_to(project).as_posix(), pattern) for pattern in wanted)
        and _has_python(path)
    ]


def _has_python(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return any(mark in text for mark in _MARKS)
