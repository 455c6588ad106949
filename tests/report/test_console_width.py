"""Lines of a run in a terminal: broken between words, and whole where they are piped or copied."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lionagi_qe.fleet.report.console import show

PROSE = "  src/shop/export.py:25 B602: subprocess call with shell=True identified, security issue."
WHOLE = (
    "    +        return amount - self.value if amount > self.least else amount  # " + "x" * 20,
    "  to see it fail: aqe repeat . tests/test_stock.py::test_that_has_a_long_name --seed 23280001",
)


def written(line: str, *, terminal: bool) -> list[str]:
    file = io.StringIO()
    show(Console(file=file, width=60, force_terminal=terminal, color_system=None), line)
    return file.getvalue().splitlines()


def test_prose_is_broken_between_words_with_its_margin_and_two_more() -> None:
    lines = written(PROSE, terminal=True)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 60
    assert " ".join(line.strip() for line in lines) == PROSE.strip()
    assert all(line.startswith("    ") for line in lines[1:])


@pytest.mark.parametrize("line", WHOLE)
def test_code_and_commands_stay_whole(line: str) -> None:
    assert written(line, terminal=True) == [line]


@pytest.mark.parametrize("line", [PROSE, *WHOLE])
def test_whoever_pipes_gets_each_line_as_one(line: str) -> None:
    assert written(line, terminal=False) == [line]
