"""What the cache directory keeps between runs, and how it is kept from growing for ever.

``environments`` holds virtual environments, each with a file that says of what (its time of change
is when it was last used); ``tools`` directories of tools; ``coverage`` what coverage.py and radon
found of a project. Whoever uses an environment or tools has their lock for as long as the process
lives, and nothing is deleted without it. Wheels are uv's or pip's to keep, in caches of their own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from lionagi_qe.agents.project.scratch import delete
from lionagi_qe.files import PRIVATE_FILE, own_directory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

# What a build of an environment leaves of the others: see ``prune``.
KEPT_SECONDS = 30 * 24 * 3600.0
KEPT_BYTES = 10 * 1024**3
_LOCK = ".lock"
_DELETED = ".deleted-"
_NOBODY = "?"
# Why something was not deleted, where nothing went wrong.
IN_USE = "is in use"
# Locks of this process, by what they are of.
_held: dict[Path, int] = {}


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that the cache directory keeps.

    Attributes:
        kind: "environment", "tools" or "coverage".
        paths: files and directories of it; the lock, if any, is that of the first one.
        of: whose it is, for people: the project's directory, where that is known.
        used: when it was last used, in seconds since 1970.
        size: bytes, files that are linked elsewhere too (as uv's are) with all of theirs.
    """

    kind: str
    paths: tuple[Path, ...]
    of: str
    used: float
    size: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of the cache.

    Attributes:
        deleted: what is gone.
        left: what should have gone, and why it did not.
    """

    deleted: list[Kept]
    left: list[tuple[Kept, str]]


def root() -> Path:
    """Return the cache directory; there may be none yet."""
    return user_cache_path("aqe", appauthor=False)


def own_root() -> Path:
    """Return the cache directory, made if need be.

    Raises OSError: it can't be made.
    """
    try:
        return own_directory(root())
    except OSError as error:
        error.add_note("set XDG_CACHE_HOME to a directory of yours")
        raise


def hold(path: Path, *, unmade: bool = False) -> bool:
    """Let nobody delete a directory while this process lives; False if it is gone by now.

    Costs an open file.

    Args:
        path: the directory.
        unmade: it is still to be made.

    """
    if path in _held:
        return True
    try:
        lock = _lock(path)
        # Waits for one who is about to delete it.
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        # A file system without locks, or a cache that is not ours to write: nor is it to prune.
        return unmade or path.is_dir()
    if _is_current(lock, path) and (unmade or path.is_dir()):
        _held[path] = lock
        return True
    os.close(lock)
    return False


def release(path: Path) -> None:
    """Take back ``hold`` of what is gone, or has another name by now."""
    lock = _held.pop(path, None)
    if lock is not None:
        path.with_name(path.name + _LOCK).unlink(missing_ok=True)
        os.close(lock)


def kept() -> list[Kept]:
    """Return all that is kept, the least recently used first; costs a look at every file."""
    found = [*_environments(root()), *_tools(root()), *_coverage(root())]
    return sorted(found, key=lambda each: each.used)


def prune(
    entries: Iterable[Kept],
    *,
    unused: float = KEPT_SECONDS,
    most: int = KEPT_BYTES,
    only_told: bool = False,
) -> Pruned:
    """Delete what was not used for long, then the least recently used above a size.

    What another process uses stays, whatever its age. No link is followed.

    Args:
        entries: as ``kept`` returns them.
        unused: seconds; below 0 for all.
        most: bytes that all of it may have.
        only_told: delete nothing, return what would be deleted.

    """
    now, ordered = time.time(), sorted(entries, key=lambda each: each.used)
    size = sum(each.size for each in ordered)
    deleted: list[Kept] = []
    left: list[tuple[Kept, str]] = []
    for each in ordered:
        if 0 <= unused >= now - each.used and size <= most:
            continue
        try:
            done = _is_free(each) if only_told else _delete(each)
        except OSError as error:
            left.append((each, f"could not be deleted: {error.strerror or error}"))
            continue
        if done:
            deleted.append(each)
            size -= each.size
        else:
            left.append((each, IN_USE))
    if not only_told:
        _forget_locks(root())
    return Pruned(deleted, left)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory."""
    if not _is_directory(path):
        return _size(path)
    return sum(_size(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        # Deleted meanwhile.
        return 0


def _environments(cache: Path) -> Iterator[Kept]:
    folder = cache / "environments"
    named: set[Path] = set()
    for pointer in folder.glob("*.json"):
        try:
            built = json.loads(pointer.read_text(encoding="utf-8"))
            directory, used = folder / Path(built["directory"]).name, pointer.stat().st_mtime
            elsewhere = not directory.parent.samefile(Path(built["directory"]).parent)
        except FileNotFoundError:
            # Deleted meanwhile, or the cache has moved.
            if os.path.lexists(pointer):
                yield Kept("environment", (pointer,), _NOBODY, *_facts(pointer))
            continue
        except (OSError, ValueError, KeyError, TypeError):
            # Half a file of a machine that went down: nobody finds what it led to.
            yield Kept("environment", (pointer,), _NOBODY, *_facts(pointer))
            continue
        if elsewhere or not _is_directory(directory):
            # What is not in the cache is nothing that we keep.
            yield Kept("environment", (pointer,), _NOBODY, *_facts(pointer))
            continue
        named.add(directory)
        size = built.get("bytes") or size_of(directory)
        yield Kept("environment", (directory, pointer), built.get("project", _NOBODY), used, size)
    # Nobody finds the others: what was built twice at once, or never to its end.
    yield from _unnamed("environment", folder, named)


def _tools(cache: Path) -> Iterator[Kept]:
    yield from _unnamed("tools", cache / "tools", set())


def _unnamed(kind: str, folder: Path, named: set[Path]) -> Iterator[Kept]:
    for directory in _directories(folder):
        if directory not in named:
            used, size = _facts(directory)
            if directory.name.startswith(_DELETED):
                yield Kept(kind, (directory,), _NOBODY, 0.0, size)
            else:
                of = directory.name if kind == "tools" else _NOBODY
                yield Kept(kind, (directory,), of, used, size)


def _coverage(cache: Path) -> Iterator[Kept]:
    for file in (cache / "coverage").glob("*.*"):
        of = file.stem.partition(".")[2] or _NOBODY
        yield Kept("coverage", (file,), of, *_facts(file))


def _facts(path: Path) -> tuple[float, int]:
    try:
        return path.lstat().st_mtime, size_of(path)
    except FileNotFoundError:
        return 0.0, 0


def _directories(folder: Path) -> Sequence[Path]:
    return [path for path in folder.glob("*") if _is_directory(path)]


def _is_directory(path: Path) -> bool:
    """Whether it is a directory, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def _lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path.with_name(path.name + _LOCK), flags, PRIVATE_FILE)


def _is_current(lock: int, path: Path) -> bool:
    """Whether an open lock is still the one that others meet."""
    try:
        named = path.with_name(path.name + _LOCK).stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(lock))


def _is_free(each: Kept) -> bool:
    if not _is_directory(each.paths[0]):
        return True
    with _exclusive(each.paths[0]) as free:
        return free


def _delete(each: Kept) -> bool:
    """Delete it, unless somebody uses it.

    Raises OSError: it can't be deleted.
    """
    main, *others = each.paths
    if not _is_directory(main):
        main.unlink(missing_ok=True)
        return True
    with _exclusive(main) as free:
        if not free:
            return False
        # First what leads to it, then the name, so that nobody finds a part of it.
        for path in others:
            path.unlink(missing_ok=True)
        going = main.with_name(f"{_DELETED}{uuid.uuid4().hex}")
        main.rename(going)
        main.with_name(main.name + _LOCK).unlink(missing_ok=True)
    delete(going)
    if going.exists():
        raise OSError(errno.ENOTEMPTY, "a part of it is left, by the rights of its files")
    return True


def _forget_locks(cache: Path) -> None:
    """Delete the locks of directories that are gone, and of which nobody is about to make one."""
    for lock in [*cache.glob(f"environments/*{_LOCK}"), *cache.glob(f"tools/*{_LOCK}")]:
        of = lock.with_name(lock.name.removesuffix(_LOCK))
        if not of.exists():
            with _exclusive(of) as free:
                if free and not of.exists():
                    lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _exclusive(path: Path) -> Generator[bool]:
    """Tell whether nobody else has the lock of a directory; meanwhile nobody gets it."""
    if path in _held:
        yield False
        return
    try:
        lock = _lock(path)
    except OSError:
        # Not ours to write, so not ours to delete.
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Somebody has it, or the file system has no locks.
        yield False
    else:
        yield _is_current(lock, path)
    finally:
        os.close(lock)
