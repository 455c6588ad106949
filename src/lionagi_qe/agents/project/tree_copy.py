"""Copies a project's tree so that nothing written in the copy reaches the user's files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from lionagi_qe.agents.project.ignored import is_ignored
from lionagi_qe.errors import ProjectError

_MOST_NAMED = 5


@dataclass(slots=True)
class TreeCopy:
    """A copy without version control, environments and caches.

    Attributes:
        project: within it links lead to the same place of the copy.
        repository: what else of the user's may be copied where a link leads to a directory of it;
            None if nothing.
        left_out: links that lead elsewhere, or to nothing.
    """

    project: Path
    repository: Path | None = None
    left_out: list[str] = field(default_factory=list[str])

    def copy(self, origin: Path, target: Path) -> None:
        """Copy a directory to where nothing is.

        Raises:
            ProjectError: a file can't be read.

        """
        try:
            target.mkdir(parents=True)
            with os.scandir(origin) as entries:
                for entry in entries:
                    if not is_ignored(entry):
                        self._copy_entry(entry, target / entry.name)
        except PermissionError as error:
            raise ProjectError(
                f"{error.filename}: can't be read, so the project can't be copied; "
                "let your user read it or move it out of the project"
            ) from error

    def notes(self) -> tuple[str, ...]:
        """Return what a reader should know of it."""
        if not self.left_out:
            return ()
        named = ", ".join(sorted(self.left_out)[:_MOST_NAMED])
        more = len(self.left_out) - _MOST_NAMED
        also = f" and {more} more" if more > 0 else ""
        return (f"not copied, since they lead out of the project or to nothing: {named}{also}",)

    def _copy_entry(self, entry: os.DirEntry[str], target: Path) -> None:
        if entry.is_symlink():
            self._copy_link(Path(entry.path), target)
        elif entry.is_dir():
            self.copy(Path(entry.path), target)
        elif entry.is_file():
            shutil.copy2(entry.path, target)
        # Sockets, pipes and devices are no part of a project's sources.

    def _copy_link(self, link: Path, target: Path) -> None:
        end = link.resolve()
        if end.is_relative_to(self.project.resolve()):
            # Written relative, it points to the same place within the copy.
            start = link.parent.resolve()
            target.symlink_to(os.path.relpath(end, start))
        elif end.is_file():
            shutil.copy2(end, target)
        elif end.is_dir() and self._may_be_copied(end):
            # What links in it lead to outside of it is not followed further.
            inner = TreeCopy(end)
            inner.copy(end, target)
            self.left_out += [f"{link.relative_to(self.project)}/{name}" for name in inner.left_out]
        else:
            self.left_out.append(self._name_of(link))

    def _may_be_copied(self, directory: Path) -> bool:
        """Whether a directory is the repository's, and holds no more than some part of it."""
        if self.repository is None or self.project.resolve().is_relative_to(directory):
            return False
        return directory.is_relative_to(self.repository.resolve())

    def _name_of(self, link: Path) -> str:
        return f"{link.relative_to(self.project)} -> {link.readlink()}"
