"""A copy of the project to work on: the user's own tree is read, and never written."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.enclosing_tests import enclosing_tests_of
from lionagi_qe.agents.project.monorepo import enclosing_repository
from lionagi_qe.agents.project.restoring import restore
from lionagi_qe.agents.project.scratch import Scratch, delete
from lionagi_qe.agents.project.search_ends import end_searches
from lionagi_qe.agents.project.tree_copy import TreeCopy
from lionagi_qe.agents.project.version_control import commit_of, give_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

# Beside the pristine copy: what pytest reads around the project; see enclosing_tests.
_AROUND = ".around"
# What the source lies in.
_PROJECT = "project"
# Where other copies lie in which the project's code runs.
_FORKS = "forks"
# A file whose status changed last when the source was free of traces.
_LAID_OUT = "laid-out"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A scratch directory; ``with`` removes it at the end.

    Attributes:
        project: the user's tree.
        root: the scratch directory.
        pristine: the project as it was copied; read, and never run.
        source: a copy of that, for the project's code to run in, and to leave its traces in.
        artifacts: where tools leave their files.
        commit: the project's commit, if it is under git.
        scratch: the scratch directory as this process owns it; None of a fork, which lies in one.
        notes: what a reader should know of the copy.
        at_end: what ends with the scratch directory, before it is deleted; forks have the same.
    """

    project: Path
    root: Path
    pristine: Path
    source: Path
    artifacts: Path
    commit: str | None
    scratch: Scratch | None = None
    notes: tuple[str, ...] = ()
    at_end: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def copy_of(cls, project: Path) -> Workspace:
        """Copy the project without version control, environments and caches.

        Raises:
            ProjectError: a file of the project can't be read.

        """
        around = enclosing_tests_of(project)
        whole = project.resolve()
        top, files = (whole, ()) if around is None else (around.top, around.files)
        copy = TreeCopy(project, enclosing_repository(project))

        def fill(pristine: Path) -> None:
            copy.copy(project, pristine)
            give_repository(project, pristine)
            for path in files:
                target = pristine.parent / _AROUND / _place_of(path, whole, top.parent)
                _copy_around(path, target, top)

        place = _place_of(whole, whole, top.parent)
        workspace = cls.filled(fill, place, project, commit_of(project))
        return replace(workspace, notes=copy.notes())

    @classmethod
    def filled(
        cls, fill: Callable[[Path], None], place: str | Path, project: Path, commit: str | None
    ) -> Workspace:
        """Return a workspace whose pristine copy ``fill`` writes.

        Args:
            fill: called with a path at which nothing is yet.
            place: of the copy: its directory's name, below those that lie around it.
            project: the user's tree, which may be on another machine.
            commit: of the project.

        """
        # In the next run, what was compiled in this one is then where it says that it is.
        whose = os.fsencode(project.resolve())
        scratch = Scratch.create(hashlib.sha256(whose).hexdigest()[:8])
        root = scratch.root
        workspace = cls(
            project,
            root,
            root / "pristine" / Path(place).name,
            root / _PROJECT / place,
            root / "artifacts",
            commit,
            scratch,
        )
        try:
            fill(workspace.pristine)
            end_searches(workspace.pristine.parent)
            _lay_out(workspace)
        except BaseException:
            workspace.remove()
            raise
        return workspace

    def fork(self, name: str) -> Workspace:
        """Return another workspace of the same pristine copy, for code that must meet no traces.

        Its directories lie in this one's; remove it as soon as it has served.
        """
        root = self.root / _FORKS / name
        fork = replace(
            self,
            root=root,
            source=root / self.source.relative_to(self.root),
            artifacts=root / "artifacts",
            scratch=None,
        )
        try:
            root.mkdir(parents=True)
            _lay_out(fork)
        except BaseException:
            fork.remove()
            raise
        return fork

    def copy_beside(self, other: Path) -> Path:
        """Copy another project of the same repository, to where relative paths lead to it.

        Raises:
            ProjectError: a file of it can't be read.

        """
        way = os.path.relpath(other, self.project.resolve())
        target = Path(os.path.normpath(self.source / way))
        if not target.is_relative_to(self.root) or target.exists():
            target = self.root / "members" / other.name
        if not target.exists():
            TreeCopy(other).copy(other, target)
        return target

    @property
    def scans(self) -> Path:
        """Where tools of ours that look at the pristine copy leave their files: theirs alone."""
        return self.root / "scans"

    @property
    def home(self) -> Path:
        """The home directory that the project's code sees."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """Where the project's code keeps temporary files; short, for the sake of sockets."""
        return self.root / "tmp"

    def shown(self, text: str) -> str:
        """Return ``text`` with the scratch paths written as a reader knows them."""
        if str(self.root) not in text:
            return text
        forks = re.escape(str(self.root / _FORKS))
        way = re.escape(str(self.source.relative_to(self.root)))
        text = re.sub(rf"{forks}/[^/]{{1,100}}/{way}(?![\w.-])", ".", text)
        for copy in (self.source, self.pristine):
            text = text.replace(str(copy), ".")
        place = self.source.relative_to(self.root / _PROJECT)
        for number, around in enumerate(place.parents, 1):
            above = "/".join([".."] * number)
            text = text.replace(f"{self.root / _PROJECT / around}/", f"{above}/")
        return text.replace(str(self.root), "$SCRATCH")

    def remove(self) -> None:
        """Delete the scratch directory, also what tests left there without permissions."""
        if self.scratch is None:
            delete(self.root)
        else:
            self.at_end.close()
            self.scratch.remove()

    def renew(self) -> None:
        """Take away all traces that the project's code left; artifacts stay."""
        for directory in (self.home, self.temporary):
            delete(directory)
            directory.mkdir()
        laid_out = self.root / _LAID_OUT
        if self._is_in_place():
            restore(self.source, self.pristine, laid_out.stat().st_ctime_ns)
        else:
            delete(self.root / _PROJECT)
            _lay_out_source(self)
        laid_out.touch()

    def _is_in_place(self) -> bool:
        """Whether the way to the source leads through directories, and no link of a program's."""
        ways = [self.source, *self.source.parents]
        within = ways[: ways.index(self.root)]
        return all(way.is_dir() and not way.is_symlink() for way in within)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def _place_of(path: Path, project: Path, above: Path) -> Path:
    """Return where something is laid that is a project, or lies around it, below ``above``.

    Tools read patterns in paths, so neither the project's name nor those of what it lies in have
    special characters there.
    """
    parts, at = list[str](), above
    for name in path.relative_to(above).parts:
        at /= name
        parts.append(_plain(name) if project.is_relative_to(at) else name)
    return Path(*parts)


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name) or "project"


def _copy_around(path: Path, target: Path, top: Path) -> None:
    if path.is_dir():
        TreeCopy(top).copy(path, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _lay_out(workspace: Workspace) -> None:
    for directory in (workspace.artifacts, workspace.scans, workspace.home, workspace.temporary):
        directory.mkdir()
    _lay_out_source(workspace)
    (workspace.root / _LAID_OUT).touch()


def _lay_out_source(workspace: Workspace) -> None:
    around = workspace.pristine.parent / _AROUND
    if around.is_dir():
        shutil.copytree(around, workspace.root / _PROJECT, symlinks=True)
    shutil.copytree(workspace.pristine, workspace.source, symlinks=True)
    end_searches(workspace.root / _PROJECT)
