"""Which directories below one hold projects of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lionagi_qe.agents.project.ignored import is_ignored
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.errors import ProjectError

_DEPTH = 4
# Of tools, which lie at the top of a repository of several projects, too.
_NO_CODE = frozenset({"conftest.py", "dodo.py", "fabfile.py", "noxfile.py", "setup.py", "tasks.py"})
# What holds the projects of one repository, by convention, also where no git tells so.
_OF_ONE_REPOSITORY = frozenset({"libs", "packages"})
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


def siblings_of(project: Path, top: Path | None) -> list[Path]:
    """Return the other projects of the repository that a project is a part of.

    Those are in the enclosing repository, ``top``; where there is none, beside the project in a
    directory called ``packages``, say.

    Raises:
        ProjectError: a ``pyproject.toml`` is not valid.

    """
    beside = project.resolve().parent
    if top is None and not (project / ".git").exists() and beside.name in _OF_ONE_REPOSITORY:
        top = beside
    return [] if top is None else [path for path in projects_below(top) if path != project]


def enclosing_repository(project: Path) -> Path | None:
    """Return the top of the repository or workspace that a project is a part of, if it is.

    That is the nearest directory above it, below the user's home, that has a ``.git`` or is a
    project itself.
    """
    if (project / ".git").exists():
        return None
    for directory in project.resolve().parents[:_DEPTH]:
        if directory == Path.home() or directory == directory.parent:
            return None
        if (directory / ".git").exists() or _is_project_or_workspace(directory):
            return directory
    return None


def notes_on_place(directory: Path) -> list[str]:
    """Return what a reader should know of a directory that is only a part of a project."""
    top = enclosing_repository(directory)
    try:
        if top is None or is_project(directory) or not is_project(top):
            return []
    except ProjectError:
        # What is wrong around a directory is told to who examines that.
        return []
    way = os.path.relpath(top, directory.resolve())
    return [f"a part of the project at {way}, whose settings don't hold here: aqe run {way}"]


def _is_project_or_workspace(directory: Path) -> bool:
    try:
        return is_project(directory) or "workspace" in _of_uv(directory)
    except ProjectError:
        # Whatever it is, nothing can be read of it.
        return False


def _of_uv(directory: Path) -> dict[str, Any]:
    tool = read_pyproject(directory).get("tool", {})
    uv = tool.get("uv", {}) if isinstance(tool, dict) else {}
    return uv if isinstance(uv, dict) else {}


def stands_for_itself(directory: Path) -> bool:
    """Whether a directory is a project or has tests, and is not merely the top of a workspace.

    Raises:
        ProjectError: its ``pyproject.toml`` is not valid.

    """
    if has_tests_of_its_own(directory):
        return True
    virtual = "workspace" in _of_uv(directory) and "build-system" not in read_pyproject(directory)
    return is_project(directory) and not virtual


def has_tests_of_its_own(directory: Path) -> bool:
    """Whether Python files, other than those of tools, or tests lie in the directory itself."""
    return any(path.name not in _NO_CODE for path in directory.glob("*.py")) or any(
        any((directory / name).rglob("*.py")) for name in ("tests", "test")
    )
