"""Rows as the text parameters of PostgreSQL's statements."""

from __future__ import annotations

import pytest

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.postgres.columns import NULL, column, columns, number


def test_rows_become_one_text_a_column() -> None:
    assert columns([("a", "1"), ("b", number(None))], 2) == ["a\x01b", f"1\x01{NULL}"]


def test_no_rows_are_empty_columns() -> None:
    assert columns([], 3) == ["", "", ""]


def test_a_cell_that_would_shift_those_behind_it_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="control character"):
        column(["a\x01b", "c"])
