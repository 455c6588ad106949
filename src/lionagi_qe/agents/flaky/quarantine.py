"""A list of flaky tests that a project puts up with until they are mended: one id a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A comment at the end of a line; ids may hold a "#", but hardly one after two blanks.
_COMMENT = "  # "


def as_quarantine(tests: Mapping[str, str]) -> str:
    """Return the text of a list: test id -> why it is on it."""
    lines = [f"{test}{_COMMENT}{why}" for test, why in sorted(tests.items())]
    return "\n".join(["# Flaky tests; their failures do not fail the gate.", *lines]) + "\n"


def read_quarantine(path: Path) -> frozenset[str]:
    """Return the ids of the tests that a list names.

    Raises:
        ProjectError: the list can't be read.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"{path}: the quarantine list can't be read: {error}; write one with "
            "aqe flaky --quarantine, or take it out of [tool.aqe]"
        ) from error
    ids = (line.split(_COMMENT)[0].strip() for line in text.splitlines())
    return frozenset(each for each in ids if each and not each.startswith("#"))
