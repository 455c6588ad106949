"""Which file a project has coverage.py read its settings from, where it names one itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.declared.declaration import ini_of
from lionagi_qe.agents.environment.declared.noted_commands import noted_commands
from lionagi_qe.agents.environment.declared.variables import SOURCE
from lionagi_qe.agents.project.pytest_settings import pytest_settings, words_in
from lionagi_qe.agents.project.settings import read_pyproject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lionagi_qe.agents.environment.variables import DeclaredVariables

_OPTION = "--cov-config"
# Words of a shell's line, or of a list. pylint has an option --rcfile as well.
_COMMAND = re.compile(
    r"""(?:\bcoverage["']?[ ,]{1,3}["']?run\b[^\n]{0,200}?--rcfile|--cov-config)"""
    r"""["']?[ =,]{1,3}["']?([^\s"',;]{1,200})"""
)
_NEXT_LINE = re.compile(r"[,\\]\s{0,3}\n\s{0,40}")
# How the project's own directory is written before a path.
_HERE = re.compile(r"(?:\{toxinidir\}|\{tox_root\}|\$PWD|\$\{PWD\}|\.)/")


@dataclass(frozen=True, slots=True)
class CoverageFile:
    """A file of settings of coverage.py.

    Attributes:
        path: from the project's directory.
        origin: which place names it, for people.
    """

    path: str
    origin: str

    @property
    def note(self) -> str:
        """What a reader of the figures should know."""
        return f"settings of coverage.py are read from {self.path}, as {self.origin} says"


def coverage_file_of(project: Path, declared: DeclaredVariables) -> CoverageFile | None:
    """Return the file that is named first, of those that are there.

    Pytest's ``addopts`` go before COVERAGE_RCFILE as tox, nox or hatch set it. What commands name
    that people have written down counts where coverage.py finds no settings without being told.
    """
    for path, origin in _named(project, declared):
        # Of what is no path, too, or one that is too long.
        if os.path.isfile(project / path):  # noqa: PTH113
            return CoverageFile(path, origin)
    return None


def _named(project: Path, declared: DeclaredVariables) -> Iterator[tuple[str, str]]:
    yield from (
        (path, "addopts") for path in _values(words_in(pytest_settings(project), "addopts"))
    )
    yield from ((path, declared.origin) for path in _values(declared.options))
    if declared.coverage_file:
        yield declared.coverage_file.removeprefix(f"{SOURCE}/"), declared.origin
    if not _is_found_untold(project):
        for origin, text in noted_commands(project):
            for path in _COMMAND.findall(_NEXT_LINE.sub(" , ", text)):
                yield _HERE.sub("", path, count=1), origin


def _values(options: Sequence[str]) -> list[str]:
    """Return the option's values; of several the last one holds, which comes first."""
    found: list[str] = []
    for word, following in zip_longest(options, options[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name == _OPTION:
            found.insert(0, value if equals else following)
    return found


def _is_found_untold(project: Path) -> bool:
    if any((project / name).is_file() for name in (".coveragerc", ".coveragerc.toml")):
        return True
    sections = [*ini_of(project / "setup.cfg").sections(), *ini_of(project / "tox.ini").sections()]
    return any(each.startswith("coverage:") for each in sections) or "coverage" in read_pyproject(
        project
    ).get("tool", {})
