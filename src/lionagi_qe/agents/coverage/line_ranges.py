"""Line numbers as short text, "1-4,7": a file has many lines, and a memory keeps many runs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_ranges(lines: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last line of each run of lines without a gap, in order."""
    ordered = sorted(set(lines))
    if not ordered:
        return []
    firsts = [ordered[0], *(after for before, after in pairwise(ordered) if after != before + 1)]
    lasts = [*(before for before, after in pairwise(ordered) if after != before + 1), ordered[-1]]
    return list(zip(firsts, lasts, strict=True))


def as_text(lines: Iterable[int]) -> str:
    """Return lines as ranges, separated by commas; nothing for none."""
    return ",".join(
        str(first) if first == last else f"{first}-{last}" for first, last in as_ranges(lines)
    )


def of_text(text: str) -> list[int]:
    """Return the lines that ``as_text`` was given, in order."""
    lines: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        lines += range(int(first), int(last or first) + 1)
    return lines


def posix(name: str) -> str:
    """Return a file's name as reports have it, whatever the system that measured it."""
    return name.replace("\\", "/")
