"""What tools found in files that did not change since: kept in the cache directory between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.agents.environment.cache_directory import root
from lionagi_qe.files import make_directories, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace


def keep(path: Path, content: bytes) -> None:
    """Write what spares the next run some work; nothing where there is no room, or no right to."""
    with contextlib.suppress(OSError):
        make_directories(path.parent)
        write_bytes(path, content)


def mark_used(path: Path) -> None:
    """Let what was kept not be deleted as what nobody needs any more; nothing if there is none."""
    with contextlib.suppress(OSError):
        os.utime(path)


def kept_path(
    workspace: Workspace, environment: Environment | None, kind: str, form: str = "json"
) -> Path:
    """Return where something of a project's runs is kept for the next one.

    Args:
        workspace: of the project.
        environment: the one that it is of; None where it is the same in all.
        kind: part of the file's name.
        form: the end of it.

    """
    within = "" if environment is None else environment.python
    of_whom = f"{workspace.project}\0{within}".encode(errors="surrogateescape")
    name = hashlib.sha256(of_whom).hexdigest()[:32]
    return root() / "coverage" / f"{name}.{kind}.{form}"


class KeptResults:
    """JSON data by the digest of what it follows from; of the last run, and no more.

    Args:
        path: where they are kept; there may be nothing yet.
        by: the tool's version, and what else all results follow from.
    """

    def __init__(self, path: Path, *by: str) -> None:
        self._path = path
        self._by = [*by, sys.version]
        self._known = self._read()
        self._used: dict[str, Any] = {}

    def of(self, digest: str) -> Any:  # noqa: ANN401 - JSON data
        """Return what was kept, which then stays; None if nothing was."""
        found = self._known.get(digest)
        if found is not None:
            self._used[digest] = found
        return found

    def add(self, digest: str, result: Any) -> None:  # noqa: ANN401 - JSON data
        """Keep a result for the next run; None is none."""
        self._used[digest] = result

    def keep(self) -> None:
        """Write what was used or added, if that is not what is kept already."""
        if self._used != self._known:
            keep(self._path, orjson.dumps({"by": self._by, "files": self._used}))
        else:
            mark_used(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = orjson.loads(self._path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return kept["files"] if kept["by"] == self._by else {}


def digest_of(file: Path, name: str = "") -> str:
    """Return what changes when a file's content does, or its name where a tool minds that.

    Raises:
        OSError: it can't be read.

    """
    return hashlib.sha256(name.encode(errors="surrogateescape") + file.read_bytes()).hexdigest()
