"""Files that this package writes: whole or not at all, and by default for their owner alone.

What is written goes to a new file of a name that nobody can guess, beside the one that it is to
become, and gets its name once it is on the disk. A link that stands under that name is replaced,
and what it points to is left alone; what is no file at all (a pipe, a terminal) is written to.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from lionagi_qe.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# "private": nobody but the owner may read it, whatever the umask says. "shared": what the umask
# allows, or what the file that is replaced allowed.
Readers = Literal["private", "shared"]

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
OTHERS = 0o077
_ANYBODY = 0o666
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Links to files that are open already: whoever names one means what is open.
_OPEN_FILE = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|thread-self|\d+)/fd/\d+")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], readers: Readers = "private") -> Generator[IO[bytes]]:
    """Yield a file to write to, which becomes ``path`` when the block ends well.

    Until then, and if it ends badly, ``path`` stays as it was; a process that is killed leaves a
    file ``.NAME.*.part`` beside it. Costs a sync of the file and one of its directory.

    Raises OSError: it can't be written there.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - no links resolved
    if _OPEN_FILE.fullmatch(str(path)):
        with path.open("wb") as file:
            yield file
        return
    if _is_no_file(path):
        with _in_place(path) as file:
            yield file
        return
    unfinished = _beside(path)
    with _told_of(path):
        number = os.open(unfinished, _NEW, PRIVATE_FILE if readers == "private" else _ANYBODY)
    try:
        with os.fdopen(number, "wb") as file:
            if readers == "private":
                # A umask may take rights from the owner as well.
                os.fchmod(number, PRIVATE_FILE)
            else:
                _keep_mode(path, number)
            yield file
            file.flush()
            os.fsync(number)
        with _told_of(path):
            unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


@contextlib.contextmanager
def filling_directory(
    path: str | os.PathLike[str], marker: str, is_ours: Callable[[str], bool]
) -> Generator[Path]:
    """Yield a new directory to fill, whose files are moved to ``path`` when the block ends well.

    The file ``marker`` tells that ``path`` is filled by this function. Files that an earlier call
    left there go; what others put there stays. Others may read it, as far as the umask allows.

    Args:
        path: is made if need be.
        marker: name of a file.
        is_ours: whether a path within it, with slashes, may be one that this function left there.

    Raises OSError: something else is there, or it can't be written there.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - no links resolved
    check_fillable(path, marker)
    path.mkdir(exist_ok=True)
    write_text(path / marker, "Filled by aqe, which replaces its own files here.\n", "shared")
    unfinished = path / f".{secrets.token_hex(8)}.part"
    unfinished.mkdir()
    try:
        yield unfinished
        _move_files(unfinished, path, is_ours)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_fillable(path: str | os.PathLike[str], marker: str) -> None:
    """Raise OSError if ``filling_directory`` would not fill what is there."""
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise NotADirectoryError(20, "is no directory; name a new or an empty one", str(path))
    names = os.listdir(path)  # noqa: PTH208 - names are enough
    if names and marker not in names:
        raise FileExistsError(
            17, "holds other files, which are left alone; name a new or an empty one", str(path)
        )


def _move_files(origin: Path, target: Path, is_ours: Callable[[str], bool]) -> None:
    """Move files, and those in folders, into a directory; former ones go that have no successor."""
    found = sorted(origin.rglob("*"))
    moved = {each.relative_to(origin) for each in found if each.is_file()}
    for folder in (Path(), *(each.relative_to(origin) for each in found if each.is_dir())):
        own = target / folder
        if folder.parts and own.is_symlink():
            raise NotADirectoryError(20, "is a link; remove it, or name a new directory", str(own))
        own.mkdir(exist_ok=True)
        for former in own.iterdir():
            name = former.relative_to(target)
            if name not in moved and is_ours(name.as_posix()) and not former.is_dir():
                former.unlink()
    for name in moved:
        (origin / name).replace(target / name)


def write_bytes(path: str | os.PathLike[str], content: bytes, readers: Readers = "private") -> None:
    """Make a file of ``content``, or put it in the place of the one that is there."""
    with replacing(path, readers) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], text: str, readers: Readers = "private") -> None:
    """Make a file of ``text`` in UTF-8, or put it in the place of the one that is there."""
    write_bytes(path, text.encode(), readers)


def check_name(name: str) -> str:
    """Return a name that somebody sent, if it is one of a file within a directory.

    Raises InvalidValueError: it would lead elsewhere, as "../.bashrc" does.
    """
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise InvalidValueError(f"{name!r}: is no name of a file in a directory")
    return name


def make_directories(path: str | os.PathLike[str]) -> None:
    """Make a directory and those above it that are missing, for their owner alone.

    What is there already stays as it is.

    Raises OSError: one can't be made, or is something else.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - no links resolved
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        with contextlib.suppress(FileExistsError):
            # Another process was faster.
            missing.mkdir(PRIVATE_DIRECTORY)
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))


def own_directory(path: str | os.PathLike[str]) -> Path:
    """Return a directory that holds only what this package keeps there, made if need be.

    One that others may enter is closed to them, if it belongs to this user.

    Raises OSError: it can't be made.
    """
    make_directories(path)
    close_to_others(path)
    return Path(path)


def close_to_others(path: str | os.PathLike[str]) -> int | None:
    """Take all rights to a file or directory of this user's from others.

    Returns the mode that it had; None if it was private, belongs to another user, is a link or
    isn't there. Locks that this process has on the file stay, which opening and closing it would
    give up.
    """
    try:
        with _named(path) as name:
            facts = os.stat(name) if name != path else os.lstat(name)  # noqa: PTH116
            mode = stat.S_IMODE(facts.st_mode)
            if stat.S_ISLNK(facts.st_mode) or facts.st_uid != os.geteuid() or not mode & OTHERS:
                return None
            os.chmod(name, mode & ~OTHERS)  # noqa: PTH101 - as above
    except OSError:
        return None
    return mode


@contextlib.contextmanager
def _named(path: str | os.PathLike[str]) -> Generator[str | os.PathLike[str]]:
    """Yield a name that means the same file to the end, where the system has such names."""
    if sys.platform != "linux":
        yield path
        return
    number = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(number).st_mode):
            yield path
        else:
            yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def make_private(path: str | os.PathLike[str]) -> bool:
    """Make an empty file for its owner alone, unless something is there; return whether it was.

    It is never open under its name: whoever opened it meanwhile loses no lock.

    Raises OSError: it can't be made, or its file system has no hard links.
    """
    path = Path(path)
    if os.path.lexists(path):
        return False
    unfinished = _beside(path)
    os.close(os.open(unfinished, _NEW, PRIVATE_FILE))
    try:
        unfinished.chmod(PRIVATE_FILE)
        path.hardlink_to(unfinished)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    return True


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")


def _is_no_file(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        # A link to nothing as well: it is replaced.
        return False


@contextlib.contextmanager
def _in_place(path: Path) -> Generator[IO[bytes]]:
    """Open a pipe or device; nothing that another user put there, also not meanwhile."""
    # A link is another's choice where another made it. Before opening, which waits for a reader.
    _check_owner(path, path.lstat())
    _check_owner(path, path.stat())
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    with os.fdopen(number, "wb") as file:
        facts = os.fstat(number)
        _check_owner(path, facts)
        if stat.S_ISREG(facts.st_mode):
            raise PermissionError(1, "was exchanged for another file meanwhile", str(path))
        yield file


def _check_owner(path: Path, facts: os.stat_result) -> None:
    if facts.st_uid not in {os.geteuid(), 0}:
        raise PermissionError(1, "a pipe, device or link of another user", str(path))


def _keep_mode(path: Path, number: int) -> None:
    """Give a file the rights of the one that it will replace."""
    with contextlib.suppress(FileNotFoundError):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            os.fchmod(number, stat.S_IMODE(facts.st_mode) & 0o777)


@contextlib.contextmanager
def _told_of(path: Path) -> Generator[None]:
    """Have errors name the file that was asked for, not the one beside it."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _sync_directory(directory: Path) -> None:
    # Some file systems can't, and directories that may not be read can't be opened.
    with contextlib.suppress(OSError):
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
