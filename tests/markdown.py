"""Tables of Markdown, for the pages that measurements write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def row(cells: Iterable[object]) -> str:
    """Return one row."""
    return "| " + " | ".join(map(str, cells)) + " |"


def table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a table."""
    return [*map(row, [columns, ("---",) * len(columns), *rows])]
