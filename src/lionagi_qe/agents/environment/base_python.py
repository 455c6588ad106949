"""The Python that a project's environment is made of: aqe's own, or what is chosen or required.

Another is looked for where people have them: on PATH, among those of pyenv and of uv. Nothing is
downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from lionagi_qe.agents.environment.declared.python_pinned import python_pinned
from lionagi_qe.agents.environment.declared.python_required import python_required
from lionagi_qe.agents.environment.interpreter import OWN_BASE, identity
from lionagi_qe.errors import EnvironmentBuildError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lionagi_qe.agents.environment.declared.python_pinned import Pin

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


@dataclass(frozen=True, slots=True)
class _Required:
    """What a project allows: as it says so, and as a set of versions; all where it says nothing."""

    wanted: object
    allowed: SpecifierSet

    @classmethod
    def of(cls, project: Path, pyproject: dict[str, Any], origin: Path) -> _Required:
        wanted, where = python_required(project, pyproject)
        try:
            # What is no text is no valid one either.
            return cls(wanted, SpecifierSet("" if wanted is None else str(wanted)))
        except InvalidSpecifier as error:
            raise ProjectError(
                f"{origin / where}: the Python that it requires, {wanted!r}, is not valid"
            ) from error

    def allows(self, version: str) -> bool:
        return self.allowed.contains(version, prereleases=True)


def base_python(project: Path, pyproject: dict[str, Any], origin: Path) -> BasePython:
    """Return the interpreter that is chosen or required for a project, else that of aqe.

    What ``.python-version`` chooses is taken where this machine has it and the project allows it;
    else the interpreter that aqe runs on, or the nearest on this machine that the project allows.
    Only where ours is not the one, others are asked, each of which takes a start of Python.

    Args:
        project: the copy of the project.
        pyproject: its metadata.
        origin: the user's own tree, for people, and for what its repository chooses.

    Raises:
        EnvironmentBuildError: none on this machine is allowed.
        ProjectError: what the project requires can't be read.

    """
    ours = ".".join(map(str, sys.version_info[:3]))
    own = BasePython(OWN_BASE, ours, f"{sys.version} {sys.prefix}")
    required = _Required.of(project, pyproject, origin)
    pin = python_pinned(project, origin)
    if pin is None:
        return _allowed(own, required)
    return _chosen(own, pin, required) or _instead(own, pin, required)


def _chosen(own: BasePython, pin: Pin, required: _Required) -> BasePython | None:
    """Return what is chosen, or another patch of that version; None if it can't be had."""
    if not required.allows(own.version):
        near = None
    elif pin.allows(own.version):
        return own
    else:
        near = own if own.minor == (3, pin.minor) else None
    if pin.allowed is None:
        found = _named_environment(pin.wanted)
    else:
        found = [each for each in _installed() if pin.minor in {None, each[0]}]
    said = f"{pin.where} chooses Python {pin.wanted}"
    for base in _asked(found, own.minor[1]):
        if not required.allows(base.version):
            continue
        if pin.allowed is None or pin.allows(base.version):
            return replace(base, note=f"{said}: tested with {base.program}, {base.version}")
        if pin.minor is not None:
            near = near or base
    if near is None:
        return None
    return replace(near, note=f"{said}, which was not found: tested with {near.version}")


def _instead(own: BasePython, pin: Pin, required: _Required) -> BasePython:
    base = _allowed(own, required)
    # What fits both would have been taken.
    why = f"not found, or not one of {required.wanted}" if required.wanted else "not found"
    note = f"{pin.where} chooses Python {pin.wanted}, which was {why}: tested with {base.version}"
    return replace(base, note=note)


def _allowed(own: BasePython, required: _Required) -> BasePython:
    """Return ours, or the nearest on this machine that the project allows."""
    if required.allows(own.version):
        return own
    refused: list[str] = []
    for base in _asked(_installed(), own.minor[1]):
        if required.allows(base.version):
            note = f"the project requires Python {required.wanted}: tested with {base.program}, "
            return replace(base, note=note + base.version)
        refused += [base.version] if base.version != own.version else []
    others = f", and there are {', '.join(dict.fromkeys(refused))} besides" if refused else ""
    raise EnvironmentBuildError(
        f"the project requires Python {required.wanted} and aqe runs on {own.version}{others}; "
        "install one that fits (uv python install, pyenv install, or so that PATH has it by the "
        "name python3.N), or name an interpreter that has the project's dependencies with --python"
    )


def _asked(found: Iterable[tuple[int, Path]], nearest: int) -> Iterator[BasePython]:
    """Ask interpreters what they are, those of the nearest versions first."""
    for path in _nearest_first(found, nearest):
        try:
            version, program = identity(path)
        except ProjectError:
            # A name that starts none: pyenv has these for each version of any of its directories.
            continue
        yield BasePython(program, version, f"{version} {program}")


def _installed() -> Iterator[tuple[int, Path]]:
    """Yield minor version and path of what is named like an interpreter of Python 3."""
    for minor in _MINORS:
        if found := shutil.which(f"python3.{minor}"):
            yield minor, Path(found)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for place in (_pyenv(), uv):
        for directory in sorted(place.glob("*")) if place.is_dir() else ():
            match = _NAMED.fullmatch(directory.name)
            path = directory / "bin" / f"python3.{match[1]}" if match else directory
            if match and int(match[1]) in _MINORS and path.is_file():
                yield int(match[1]), path


def _pyenv() -> Path:
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"


def _named_environment(name: str) -> list[tuple[int, Path]]:
    """Return the interpreter that pyenv has by a name; a path is none, whatever lies there."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        return []
    path = _pyenv() / name / "bin" / "python"
    return [(0, path)] if path.is_file() else []


def _nearest_first(found: Iterable[tuple[int, Path]], own: int) -> list[Path]:
    """Return paths, those of the versions nearest to ours first; what PATH has before the rest."""
    nearest = sorted(found, key=lambda each: abs(each[0] - own))
    return list(dict.fromkeys(path for _, path in nearest))
