"""Which directories below one hold projects of their own."""

from __future__ import annotations

import os
from pathlib import Path

from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.project.workspace import is_ignored

_DEPTH = 4
# What lies there are inputs of tests, samples, or copies of others' work.
_NO_PROJECTS = frozenset({"build", "dist", "docs", "examples", "test", "tests", "vendor"})


def is_project(directory: Path) -> bool:
    """Whether a directory says what it is called or how it is built.

    Raises:
        ProjectError: its ``pyproject.toml`` is not valid.

    """
    pyproject = read_pyproject(directory)
    tool = pyproject.get("tool", {})
    return (
        "project" in pyproject
        or "build-system" in pyproject
        or (isinstance(tool, dict) and "poetry" in tool)
        or (directory / "setup.py").is_file()
    )


def projects_below(directory: Path) -> list[Path]:
    """Return the projects below a directory, in the order of their names; none within another.

    Raises:
        ProjectError: a ``pyproject.toml`` is not valid.

    """
    found: list[Path] = []
    waiting = [(directory, 0)]
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            inner = [
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and not entry.name.startswith(".")
                and entry.name not in _NO_PROJECTS
                and not is_ignored(entry)
            ]
        found += [path for path in inner if is_project(path)]
        if depth < _DEPTH:
            waiting += [(path, depth + 1) for path in inner if path not in found]
    return sorted(found)


def has_tests_of_its_own(directory: Path) -> bool:
    """Whether Python files or tests lie in the directory itself."""
    return any(directory.glob("*.py")) or any(
        any((directory / name).rglob("*.py")) for name in ("tests", "test")
    )
