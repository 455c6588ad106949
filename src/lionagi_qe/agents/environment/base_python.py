"""The Python that a project's environment is made of: aqe's own, or another that the project needs.

Another is looked for where people have them: on PATH, among those of pyenv and of uv. Nothing is
downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from lionagi_qe.agents.environment.declared.python_required import python_required
from lionagi_qe.agents.environment.interpreter import probe
from lionagi_qe.errors import EnvironmentBuildError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

# pytest and coverage.py, as old as we can work with, run on these minor versions of Python 3;
# later ones than there are today are asked for by names that nobody has.
_MINORS = range(9, 30)
_NAMED = re.compile(r"(?:python|cpython-)?3\.(\d+)(?!\d).*")


@dataclass(frozen=True, slots=True)
class BasePython:
    """What a virtual environment is created with.

    Attributes:
        program: the interpreter.
        version: of it, three numbers.
        identity: what decides whether an environment of it can be used again.
        note: why it is not the one that aqe runs on; "" if it is.
    """

    program: str
    version: str
    identity: str
    note: str = ""

    @property
    def minor(self) -> tuple[int, int]:
        """The first two numbers of its version."""
        major, minor, _ = self.version.split(".")
        return int(major), int(minor)


def base_python(project: Path, pyproject: dict[str, Any], origin: Path) -> BasePython:
    """Return the interpreter that aqe runs on, or the nearest on this machine that is allowed.

    Only where ours is not allowed others are asked, each of which takes a start of Python.

    Args:
        project: the copy of the project.
        pyproject: its metadata.
        origin: the user's own tree, for people.

    Raises:
        EnvironmentBuildError: none on this machine is allowed.
        ProjectError: what the project requires can't be read.

    """
    ours = ".".join(map(str, sys.version_info[:3]))
    program = getattr(sys, "_base_executable", None) or sys.executable
    own = BasePython(program, ours, f"{sys.version} {sys.prefix}")
    wanted, where = python_required(project, pyproject)
    if wanted is None:
        return own
    try:
        # What is no text is no valid one either.
        allowed = SpecifierSet(str(wanted))
    except InvalidSpecifier as error:
        raise ProjectError(
            f"{origin / where}: the Python that it requires, {wanted!r}, is not valid"
        ) from error
    if allowed.contains(ours, prereleases=True):
        return own
    refused: list[str] = []
    for path in _nearest_first(_installed(), sys.version_info[1]):
        try:
            version = probe(path)["version"]
        except ProjectError:
            # A name that starts none: pyenv has these for each version of any of its directories.
            continue
        if allowed.contains(version, prereleases=True):
            note = f"the project requires Python {wanted}: tested with {path}, {version}"
            return BasePython(str(path), version, f"{version} {path}", note)
        refused.append(version)
    others = f", and there are {', '.join(dict.fromkeys(refused))} besides" if refused else ""
    raise EnvironmentBuildError(
        f"the project requires Python {wanted} and aqe runs on {ours}{others}; install one that "
        "fits (uv python install, pyenv install, or so that PATH has it by the name python3.N), "
        "or name an interpreter that has the project's dependencies with --python"
    )


def _installed() -> Iterator[tuple[int, Path]]:
    """Yield minor version and path of what is named like an interpreter of Python 3."""
    for minor in _MINORS:
        if found := shutil.which(f"python3.{minor}"):
            yield minor, Path(found)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for place in (pyenv, uv):
        for directory in sorted(place.glob("*")) if place.is_dir() else ():
            match = _NAMED.fullmatch(directory.name)
            path = directory / "bin" / f"python3.{match[1]}" if match else directory
            if match and int(match[1]) in _MINORS and path.is_file():
                yield int(match[1]), path


def _nearest_first(found: Iterator[tuple[int, Path]], own: int) -> list[Path]:
    """Return paths, those of the versions nearest to ours first; what PATH has before the rest."""
    nearest = sorted(found, key=lambda each: abs(each[0] - own))
    return list(dict.fromkeys(path for _, path in nearest))
