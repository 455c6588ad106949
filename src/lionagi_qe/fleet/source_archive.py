"""A project's tree on its way to workers: one archive, the same bytes for the same content.

``source_extraction`` lays it out again.
"""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Times of change are no content; and zip files, which builds make, know none before 1980.
MOMENT = 24 * 3600 * 3660
EXECUTABLE, PLAIN = 0o755, 0o644


def digest_of(tree: Path) -> str:
    """Return a hash of all names, contents, links and rights of execution; reads every file."""
    digest = hashlib.sha256()
    for path in _sorted(tree):
        name = os.fsencode(path.relative_to(tree))
        if path.is_symlink():
            kind, content = b"link", os.fsencode(path.readlink())
        elif path.is_dir():
            kind, content = b"directory", b""
        else:
            kind = b"program" if os.access(path, os.X_OK) else b"file"
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        for part in (kind, name, content):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def packed_tree(tree: Path) -> bytes:
    """Return an archive of a tree."""
    # Here, since runs without workers ship nothing.
    import gzip
    import tarfile

    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in _sorted(tree):
            info = archive.gettarinfo(path, path.relative_to(tree).as_posix())
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = MOMENT
            executable = info.isdir() or info.mode & 0o100
            info.mode = EXECUTABLE if executable else PLAIN
            # Two names of one file travel as two files.
            info.type = tarfile.REGTYPE if info.islnk() else info.type
            if info.isreg():
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)
    return target.getvalue()


def _sorted(tree: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(tree):
        # The copy's repository borrows objects of the user's: on another machine there are none.
        directories[:] = sorted(name for name in directories if name != ".git")
        here = tree / os.path.relpath(directory, tree)
        yield from (here / name for name in sorted([*files, *directories]))
