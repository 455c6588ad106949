"""Many rows as a statement's parameters or answer: each column one text.

The driver looks at each element of an array three times in Python, and makes an object of each row;
a joined text is one parameter or value however many rows there are. What separates them, and what
stands for NULL, are control characters, which neither keys nor names may hold and JSON always
escapes. No cell is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

SEPARATOR = "\x01"
NULL = "\x02"


def array(parameter: str, kind: str = "text") -> str:
    """Return the SQL that makes an array of a column."""
    cells = f"string_to_array({parameter}::text, E'\\x01', E'\\x02')"
    return cells if kind == "text" else f"{cells}::{kind}[]"


def joined(expression: str, order: str) -> str:
    """Return the SQL aggregate that makes a column of rows, which ``payloads_of`` takes apart."""
    return f"string_agg(coalesce({expression}, E'\\x02'), E'\\x01' ORDER BY {order})"


def payloads_of(column: str) -> list[bytes | str | None]:
    """Return the payloads in a column of at least one row."""
    cells = cast("list[bytes | str | None]", column.split(SEPARATOR))
    return [None if cell == NULL else cell for cell in cells] if NULL in column else cells


def column(cells: Sequence[str]) -> str:
    """Return a column as one parameter."""
    joined = SEPARATOR.join(cells)
    # Else what follows would end in other rows.
    if joined.count(SEPARATOR) != max(0, len(cells) - 1):
        msg = "a key, name or value holds the control character \\x01; remove it"
        raise InvalidArgumentError(msg)
    return joined


def columns(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return rows of ``width`` cells as that many parameters."""
    return [column(cells) for cells in zip(*rows, strict=True)] or [""] * width


def number(value: int | None) -> str:
    """Return a number's cell."""
    return NULL if value is None else str(value)
