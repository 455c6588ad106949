"""What pytest reads around a project that is a part of a repository.

Where a project tells pytest nothing, pytest takes the settings of the nearest directory above that
does, and runs the ``conftest.py`` of each directory from there.
"""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.monorepo import enclosing_repository
from lionagi_qe.agents.project.parsing import parsed
from lionagi_qe.agents.project.pytest_settings import (
    modules_named,
    pytest_file,
    settings_in,
    words_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class EnclosingTests:
    """What of a repository's files the tests of a project in it need.

    Attributes:
        top: the directory that configures pytest.
        settings: the file in it.
        files: all of these, directories among them; none within the project.
    """

    top: Path
    settings: Path
    files: tuple[Path, ...]


def enclosing_tests_of(project: Path) -> EnclosingTests | None:
    """Return what pytest reads around a project; None where it reads nothing there."""
    project = project.resolve()
    if pytest_file(project) is not None:
        return None
    for directory in _around(project):
        settings = pytest_file(directory)
        if settings is not None:
            return EnclosingTests(directory, settings, tuple(_files(project, settings)))
    return None


def _around(project: Path) -> Iterator[Path]:
    """Yield the directories above a project, up to the top of its repository."""
    nearest = enclosing_repository(project)
    if nearest is None:
        return
    under_git = next((each for each in project.parents if (each / ".git").exists()), nearest)
    for directory in project.parents:
        yield directory
        if directory == under_git:
            return


def _files(project: Path, settings: Path) -> Iterator[Path]:
    top, seen = settings.parent, {settings}
    between = [each for each in project.parents if each.is_relative_to(top)]
    # Where what these import may lie.
    paths = [top / word for word in words_in(settings_in(settings), "pythonpath")]
    roots = [*between, *paths]
    waiting = [*(each / "conftest.py" for each in between), *paths]
    yield settings
    while waiting:
        path = waiting.pop()
        if path in seen or not path.exists() or project.is_relative_to(path):
            continue
        seen.add(path)
        if path.is_relative_to(project):
            continue
        yield path
        modules = [path] if path.is_file() else sorted(path.rglob("*.py"))
        waiting += (each for module in modules for each in _modules(_imported(module), roots))


def _modules(names: Iterator[str], roots: list[Path]) -> Iterator[Path]:
    """Yield the files or directories of those modules that lie in one of the directories."""
    for name in names:
        top = name.partition(".")[0]
        for root in roots if top.isidentifier() else ():
            yield from (
                path
                for path in (root / f"{top}.py", root / top)
                if path.is_file() or os.path.isfile(path / "__init__.py")  # noqa: PTH113
            )


def _imported(module: Path) -> Iterator[str]:
    tree = parsed(module)
    # Of what can't be parsed pytest says what is wrong with it.
    for node in () if tree is None else ast.walk(tree):
        yield from modules_named(node)
