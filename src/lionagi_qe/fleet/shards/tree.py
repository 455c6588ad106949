"""Whether two machines have the same project before them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.ignored import is_ignored
from lionagi_qe.agents.project.version_control import commit_of, tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRTY = "-dirty"


def tree_of(project: Path) -> str:
    """Return a hash of the files that git tracks, as they are now; without git of all ``*.py``.

    What CI lays beside them (results, caches) is left out. Reads each of these files.
    """
    listed = tracked_files(project)
    names = _python_files(project) if listed is None else listed
    digest = hashlib.sha256()
    for name in sorted(set(names)):
        path = project / name
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        else:
            # Deleted, or a repository of its own.
            continue
        for part in (os.fsencode(name), content):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def clean_commit_of(project: Path) -> str | None:
    """Return the commit that git has checked out, whatever lies beside it."""
    commit = commit_of(project)
    return None if commit is None else commit.removesuffix(_DIRTY)


def _python_files(project: Path) -> Iterator[str]:
    waiting = [project]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if is_ignored(entry):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.name.endswith(".py"):
                    yield Path(entry.path).relative_to(project).as_posix()
