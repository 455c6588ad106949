"""Which Python people chose for a project: its ``.python-version``, as uv and pyenv read it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from lionagi_qe.agents.project.monorepo import enclosing_repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# uv reads the second where there is no first; both tools take the first line of several.
_FILES = (".python-version", ".python-versions")
_MOST_BYTES = 4096
# Of pyenv: no choice, whatever is there.
_NO_CHOICE = "system"
_VERSION = re.compile(
    r"(?:cpython|python|cp)?[-@]?(\d+)(?:\.(\d+)(?:\.(\d+))?)?((?:a|b|rc)\d+)?(?:-dev|-\w+-.*)?"
)
# As in the tags of wheels: cp312.
_TAG = re.compile(r"cp(\d)(\d+)")
_SPECIFIER = re.compile(r"(?:cpython)?([<>=!~].*)")


@dataclass(frozen=True, slots=True)
class Pin:
    """A choice of Python.

    Attributes:
        wanted: as it stands in the file.
        where: the file, as seen from the project.
        allowed: the versions of CPython that are meant; None for another implementation, a variant,
            or a name that somebody gave an environment of pyenv.
    """

    wanted: str
    where: str
    allowed: SpecifierSet | None

    @property
    def minor(self) -> int | None:
        """The minor version of Python 3 that it names, if it names one."""
        named = re.match(r"==3\.(\d+)", str(self.allowed))
        return int(named[1]) if named else None

    def allows(self, version: str) -> bool:
        """Whether a version of CPython is one of those that are meant."""
        return self.allowed is not None and self.allowed.contains(version, prereleases=True)


def python_pinned(project: Path, origin: Path) -> Pin | None:
    """Return what is chosen for a project, or for the repository around it; None if nothing.

    The nearest file holds, as far up as the top of the repository.

    Args:
        project: the copy of the project.
        origin: the user's own tree.

    """
    for file, where in _files(project, origin):
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode("utf-8", errors="replace")
        lines = (line.strip() for line in text.splitlines())
        wanted = next((line for line in lines if line and not line.startswith("#")), _NO_CHOICE)
        return None if wanted == _NO_CHOICE else Pin(wanted, where, _versions_of(wanted))
    return None


def _files(project: Path, origin: Path) -> Iterator[tuple[Path, str]]:
    yield from ((project / name, name) for name in _FILES if (project / name).is_file())
    top = enclosing_repository(origin)
    if top is None:
        return
    whole = origin.resolve()
    for directory in whole.parents:
        if not directory.is_relative_to(top):
            return
        for name in _FILES:
            if (directory / name).is_file():
                yield directory / name, os.path.relpath(directory / name, whole)


def _versions_of(wanted: str) -> SpecifierSet | None:
    if specifier := _SPECIFIER.fullmatch(wanted):
        try:
            return SpecifierSet(specifier[1])
        except InvalidSpecifier:
            return None
    # pyenv lists several in one line, too.
    words = wanted.split()
    if tag := _TAG.fullmatch(words[0]):
        return SpecifierSet(f"=={tag[1]}.{tag[2]}.*")
    if not (version := _VERSION.fullmatch(words[0])):
        return None
    major, minor, patch, before = version.groups()
    numbers = ".".join(filter(None, (major, minor, patch)))
    return SpecifierSet(f"=={numbers}{before or ''}" if patch else f"=={numbers}.*")
