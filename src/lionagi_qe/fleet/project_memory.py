"""Which memory is a project's own, unless somebody names another: a file outside its tree."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from lionagi_qe.agents.project.metadata import project_name
from lionagi_qe.agents.project.settings import read_pyproject, settings_of
from lionagi_qe.files import make_directories, own_directory

_MARKS = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, slots=True)
class ProjectMemory:
    """The memory that runs on a project keep their results in by default.

    Attributes:
        project: the project's directory.
        file: the SQLite file, in the user's state directory; not there before the first run.
    """

    project: Path
    file: Path

    @property
    def url(self) -> str:
        """The memory's URL."""
        return f"sqlite:///{self.file}"


def memory_around(folder: str | os.PathLike[str]) -> ProjectMemory:
    """Return the memory of the project that a directory is in.

    The project is the nearest directory, from this one upward, that declares one
    (``pyproject.toml``, ``setup.py``, ``setup.cfg``) or that has a memory; else the directory
    itself.

    Raises:
        ProjectError: the project's settings are not valid.

    """
    here = Path(folder).resolve()
    for project in (here, *here.parents):
        if any((project / mark).is_file() for mark in _MARKS):
            break
        found = _file_of(project, project.name)
        if found.exists():
            return ProjectMemory(project, found)
    else:
        project = here
    pyproject = read_pyproject(project)
    name = settings_of(project, pyproject, {}).project or project_name(project, pyproject)
    return ProjectMemory(project, _file_of(project, name))


def default_memory(project: Path, name: str) -> str:
    """Return the URL of a project's own memory; make the directory that it will be in.

    Args:
        project: its directory, absolute.
        name: what it calls itself.

    Raises OSError: the directory can't be made.
    """
    file = _file_of(project, name)
    try:
        own_directory(_state())
        make_directories(file.parent)
    except OSError as error:
        error.add_note("set XDG_STATE_HOME to a directory of yours, or name a memory by --memory")
        raise
    return ProjectMemory(project, file).url


def _state() -> Path:
    return user_state_path("aqe", appauthor=False)


def _file_of(project: Path, name: str) -> Path:
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60]
    return _state() / "projects" / f"{readable}-{key}.db"
