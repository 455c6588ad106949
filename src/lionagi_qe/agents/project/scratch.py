"""Scratch directories, also those that a killed process left behind.

Each holds a file that its owner has locked for as long as it lives: the system gives the lock back
however the owner ended, and no other process ever seems to be it, as with process ids.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

PREFIX = "aqe-"
_OWNER = "owner"
# Of a scratch directory, what a program that works in it does not write; see Workspace.
_NOT_WRITTEN = frozenset({"forks", "pristine", "scans"})
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch directory of this process.

    Attributes:
        root: the directory.
        lock: the open file whose lock says that the owner lives.
    """

    root: Path
    lock: int

    @classmethod
    def create(cls, name: str = "") -> Scratch:
        """Make a directory; those of this user whose owners are gone are deleted first.

        Costs a look at the names in the directory for temporary files.

        Args:
            name: the directory's, if nobody has one of that name now; "" for one that nobody had.

        """
        _sweep(Path(tempfile.gettempdir()))
        root = _made(name).resolve()
        unfinished = root / f".{_OWNER}"
        lock = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, f"{os.getpid()}\n".encode())
        # Who sees the name sees the lock.
        unfinished.rename(root / _OWNER)
        return cls(root, lock)

    def remove(self) -> None:
        """Delete it; a second time does nothing."""
        if self.root.exists():
            delete(self.root)
            os.close(self.lock)


def _made(name: str) -> Path:
    directory = Path(tempfile.gettempdir(), f"{PREFIX}{name}")
    with contextlib.suppress(FileExistsError):
        if name:
            directory.mkdir(mode=0o700)
            return directory
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def delete(directory: Path) -> None:
    """Delete a directory, also what tests left there without permissions; of a link, the link."""
    if directory.is_symlink():
        directory.unlink()
        return
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        for path, _, _ in os.walk(directory):
            Path(path).chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)


def read_left(path: Path) -> bytes:
    """Return a file that a program was to write where others of the project may be at work.

    Raises OSError: it is a link, a pipe or anything else than a file, or isn't there.
    """
    number = os.open(path, _READING)
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise FileNotFoundError(errno.ENOENT, "is no file", str(path))
        return file.read()


def _sweep(temporary: Path) -> None:
    """Delete the scratch directories of owners that are gone."""
    with os.scandir(temporary) as entries:
        candidates = [Path(entry.path) for entry in entries if _may_be_ours(entry)]
    for directory in candidates:
        with _orphan(directory) as orphaned:
            if orphaned:
                delete(directory)


def _may_be_ours(entry: os.DirEntry[str]) -> bool:
    if not entry.name.startswith(PREFIX) or not entry.is_dir(follow_symlinks=False):
        return False
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except FileNotFoundError:
        # Deleted meanwhile.
        return False


@contextlib.contextmanager
def _orphan(directory: Path) -> Generator[bool]:
    """Tell whether a directory had an owner that is gone; meanwhile nobody else is told so."""
    try:
        lock = os.open(directory / _OWNER, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        # None of ours, or not any more.
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def places_of(cwd: Path) -> tuple[list[Path], list[Path]]:
    """Return what a program at work in a scratch directory reads of it, and where it writes.

    It reads the pristine copy, and the objects of the repository that this one borrows from. It
    does not write where others are at work, which are other forks, and the tools of ours that look
    at the pristine copy: these write to a directory of their own.

    Args:
        cwd: where the program runs, in a scratch directory.

    """
    temporary = Path(tempfile.gettempdir()).resolve()
    below = cwd.relative_to(temporary).parts
    root = temporary / below[0]
    reads = [root / "pristine"]
    for alternates in root.glob("pristine/*/.git/objects/info/alternates"):
        lines = alternates.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        reads += [Path(line) for line in lines if line.endswith("/.git/objects")]
    if below[1:2] == ("forks",):
        return reads, [root.joinpath(*below[1:3])]
    if below[1:2] == ("pristine",):
        return reads, [root / "scans"]
    own = (each for each in root.iterdir() if each.is_dir() and not each.is_symlink())
    return reads, sorted(each for each in own if each.name not in _NOT_WRITTEN)
