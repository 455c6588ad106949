"""Makes a copy of a directory again what it was, with as little writing as can be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lionagi_qe.agents.project.scratch import delete


def restore(copy: Path, origin: Path, since: int) -> None:
    """Make the copy of a directory again what it was; costs a look at each file.

    What has another size, time, mode or kind than in the origin, or was changed in any way since
    the copy was made, is copied anew; what is not there is deleted.

    Args:
        copy: of all that is in the origin.
        origin: which is still what it was.
        since: when all of it had been copied: the time of a file's status change, in nanoseconds.

    """
    copy.chmod(origin.stat().st_mode & 0o7777)
    with os.scandir(origin) as entries:
        absent = {entry.name: entry for entry in entries}
    with os.scandir(copy) as entries:
        found = list(entries)
    for entry in found:
        own = absent.get(entry.name)
        if own is not None and _is_as_before(entry, own, since):
            del absent[entry.name]
            if own.is_dir(follow_symlinks=False):
                restore(Path(entry.path), Path(own.path), since)
        elif entry.is_dir(follow_symlinks=False):
            delete(Path(entry.path))
        else:
            Path(entry.path).unlink()
    for name, own in absent.items():
        if own.is_symlink():
            (copy / name).symlink_to(Path(own.path).readlink())
        elif own.is_dir():
            shutil.copytree(own.path, copy / name, symlinks=True)
        else:
            shutil.copy2(own.path, copy / name)


def _is_as_before(entry: os.DirEntry[str], own: os.DirEntry[str], since: int) -> bool:
    if entry.is_symlink() or own.is_symlink():
        both = entry.is_symlink() and own.is_symlink()
        return both and Path(entry.path).readlink() == Path(own.path).readlink()
    if entry.is_dir() or own.is_dir():
        return entry.is_dir() and own.is_dir()
    now, then = entry.stat(), own.stat()
    same = (now.st_mode, now.st_size, now.st_mtime_ns) == (
        *(then.st_mode, then.st_size, then.st_mtime_ns),
    )
    # Who sets the time of change to what it was does not set this one.
    return same and now.st_ctime_ns < since
