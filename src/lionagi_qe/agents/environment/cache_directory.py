"""What the cache directory keeps between runs, and how it is kept from growing for ever.

``environments`` holds virtual environments, each with a file that says of what (its time of change
is when it was last used); ``tools`` directories of tools; ``coverage`` what coverage.py and radon
found of a project. Whoever uses an environment or tools has their lock for as long as the process
lives, and nothing is deleted without it. Wheels are uv's or pip's to keep, in caches of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from lionagi_qe.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

# What a build of an environment leaves of the others: see ``prune``.
KEPT_SECONDS = 30 * 24 * 3600.0
KEPT_BYTES = 10 * 1024**3
_LOCK = ".lock"
_DELETED = ".deleted-"
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


def root() -> Path:
    """Return the cache directory; there may be none yet."""
    return user_cache_path("aqe", appauthor=False)


def hold(path: Path) -> bool:
    """Let nobody delete a directory while this process lives; False if somebody has by now.

    For one that is not there yet, before it is made. Costs an open file.
    """
    if path in _held:
        return True
    existed = path.exists()
    try:
        lock = _lock(path)
        # Waits for one who is about to delete it.
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        # A file system without locks, or a cache that is not ours to write: nor is it to prune.
        return True
    if _is_current(lock, path) and path.exists() == existed:
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
) -> list[Kept]:
    """Delete what was not used for long, then the least recently used above a size.

    What another process uses stays, whatever its age.

    Args:
        entries: as ``kept`` returns them.
        unused: seconds.
        most: bytes that all of it may have.
        only_told: delete nothing, return what would be deleted.

    Returns:
        What was deleted.

    """
    now, ordered = time.time(), sorted(entries, key=lambda each: each.used)
    size = sum(each.size for each in ordered)
    deleted: list[Kept] = []
    for each in ordered:
        if now - each.used <= unused and size <= most:
            continue
        if _is_free(each) if only_told else _delete(each):
            deleted.append(each)
            size -= each.size
    return deleted


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory."""
    if not path.is_dir():
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
            directory, used = Path(built["directory"]), pointer.stat().st_mtime
        except (OSError, ValueError):
            # Deleted meanwhile, or half a file of a machine that went down.
            continue
        named.add(directory)
        size = built.get("bytes") or size_of(directory)
        yield Kept("environment", (directory, pointer), built.get("project", "?"), used, size)
    for directory in _directories(folder):
        # Nobody finds these: what was built twice at once, or never to its end.
        if directory not in named:
            used, size = _facts(directory)
            is_rest = directory.name.startswith(_DELETED)
            yield Kept("environment", (directory,), "?", 0.0 if is_rest else used, size)


def _tools(cache: Path) -> Iterator[Kept]:
    for directory in _directories(cache / "tools"):
        yield Kept("tools", (directory,), directory.name, *_facts(directory))


def _coverage(cache: Path) -> Iterator[Kept]:
    for file in (cache / "coverage").glob("*.json"):
        yield Kept("coverage", (file,), file.name.partition(".")[2], *_facts(file))


def _facts(path: Path) -> tuple[float, int]:
    try:
        return path.stat().st_mtime, size_of(path)
    except FileNotFoundError:
        return 0.0, 0


def _directories(folder: Path) -> Sequence[Path]:
    return [path for path in folder.glob("*") if path.is_dir()]


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
    with _exclusive(each.paths[0]) as free:
        return free


def _delete(each: Kept) -> bool:
    """Delete it, unless somebody uses it."""
    main, *others = each.paths
    if not main.is_dir():
        main.unlink(missing_ok=True)
        return True
    with _exclusive(main) as free:
        if not free:
            return False
        # First what leads to it, then the name, so that nobody finds a part of it.
        for path in others:
            path.unlink(missing_ok=True)
        going = main.with_name(f"{_DELETED}{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            main.rename(going)
        main.with_name(main.name + _LOCK).unlink(missing_ok=True)
    shutil.rmtree(going, ignore_errors=True)
    return True


@contextlib.contextmanager
def _exclusive(path: Path) -> Generator[bool]:
    """Tell whether nobody else has the lock of a directory; meanwhile nobody gets it."""
    if path in _held or not path.is_dir():
        yield not path.is_dir()
        return
    lock = _lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield _is_current(lock, path)
    finally:
        os.close(lock)
