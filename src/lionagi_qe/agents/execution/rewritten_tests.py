"""Test files as pytest has rewritten and compiled them, for the next run of the same tests.

A copy of a project has none, and to make them anew takes a fifth of a quick project's run. pytest
itself finds out which hold, by the time and size of the test file. They name the place that they
were made in, so they are brought to that place alone, and to no fork: each has a place of its own.
An isolated program, which may have made what it likes of any test, has no part in it: the next run
may not be isolated.
"""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.kept_results import keep, kept_path, mark_used
from lionagi_qe.agents.project.isolation import isolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.workspace import Workspace

    # Name of a file in the copy -> its size and time of change.
    States = Mapping[str, tuple[int, int]]

_FILES = "__pycache__/*-pytest-*.pyc"
_MOST_BYTES = 64 * 1024**2


class RewrittenTests:
    """Those of a workspace.

    Args:
        workspace: to which they are brought before the tests run, and from which they are kept.
        environment: whose pytest runs the tests.
    """

    def __init__(self, workspace: Workspace, environment: Environment) -> None:
        self._source = workspace.source
        self._kept = kept_path(workspace, environment, "rewritten", "zip")
        self._holds = workspace.scratch is not None and isolation() is None
        self._brought: States = {}

    def bring(self) -> None:
        """Lay those of the last run beside their test files; nothing where there are none."""
        if not self._holds:
            return
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(self._kept) as kept:
            if kept.comment != self._place():
                return
            names = [name for name in kept.namelist() if _is_within(PurePosixPath(name))]
            for name in names:
                target = self._source / name
                if target.parents[1].is_dir() and not target.exists():
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(kept.read(name))
            self._brought = _states(self._source, names)

    def keep(self, tests: Iterable[str]) -> None:
        """Keep them for the next run, where one of them is another one by now.

        Args:
            tests: their ids.

        """
        if not self._holds:
            return
        folders = {Path(test.partition("::")[0]).parent for test in tests}
        folders |= {parent for folder in folders for parent in folder.parents}
        names = [
            path.relative_to(self._source).as_posix()
            for folder in sorted(folders)
            for path in sorted((self._source / folder).glob(_FILES))
            if path.is_file() and not path.is_symlink()
        ]
        now = _states(self._source, names)
        if now == self._brought:
            mark_used(self._kept)
        elif sum(size for size, _ in now.values()) <= _MOST_BYTES:
            with contextlib.suppress(OSError):
                keep(self._kept, self._packed(now))

    def _packed(self, names: Iterable[str]) -> bytes:
        from io import BytesIO

        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as target:
            target.comment = self._place()
            for name in names:
                target.writestr(name, (self._source / name).read_bytes())
        return packed.getvalue()

    def _place(self) -> bytes:
        return str(self._source).encode(errors="surrogateescape")


def _is_within(name: PurePosixPath) -> bool:
    return ".." not in name.parts and not name.is_absolute()


def _states(source: Path, names: Iterable[str]) -> States:
    found: dict[str, tuple[int, int]] = {}
    for name in names:
        with contextlib.suppress(OSError):
            status = (source / name).stat()
            found[name] = status.st_size, status.st_mtime_ns
    return found
