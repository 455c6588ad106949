"""The files in which people write down the commands that test a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILES = (
    *("tox.ini", "tox.toml", "setup.cfg", "pyproject.toml", "noxfile.py", "Makefile", "justfile"),
    *(".github/workflows/*.yml", ".github/workflows/*.yaml"),
)


def noted_commands(project: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each such file, for people, and its text; tox's and nox's come first."""
    for pattern in _FILES:
        for path in sorted(project.glob(pattern)):
            if path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                yield path.relative_to(project).as_posix(), text
