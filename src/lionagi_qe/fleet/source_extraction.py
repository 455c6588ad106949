"""Laying out a project's tree that was shipped, whoever packed it.

Whatever an archive holds, nothing is written outside its directory, and what it takes of memory and
disk is bounded. Links come last: while files are written there is none that could lead elsewhere.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from lionagi_qe.errors import AqeError
from lionagi_qe.fleet.source_archive import EXECUTABLE, MOMENT, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MEMBERS = 200_000
MAX_TREE_BYTES = 4 * 1024**3
# A name or a link's target that is longer than its header has a member of its own before it, which
# tarfile reads as a whole.
_MAX_LONG_NAME = 64 * 1024
_LONG_NAMES = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


def unpack_tree(content: bytes, target: Path) -> None:
    """Lay out an archive in a directory that doesn't exist yet.

    Costs its size on the disk, and memory for the names of its members.

    Raises:
        AqeError: it is no archive, would write elsewhere, holds what is neither file, directory
            nor link, or is larger than a tree may be; part of it may lie there by then.

    """
    target.mkdir(parents=True)
    try:
        with tarfile.open(
            fileobj=io.BytesIO(content), mode="r:gz", tarinfo=_Member, errorlevel=1
        ) as archive:
            links: dict[str, tarfile.TarInfo] = {}
            for member in _checked(archive):
                if member.issym():
                    links[member.name] = member
                else:
                    _extract(archive, member, target / member.name)
            for link in links.values():
                _make_link(link, target, links)
    except _RefusedError as error:
        raise AqeError(f"the project that was shipped is refused: {error}") from error
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
        raise AqeError(f"the project that was shipped can't be unpacked: {error}") from error


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Lay out a checked member, without tarfile's filters, which Python 3.11.0 to 3.11.3 lack."""
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # It is a regular file, of which there is a content.
    with cast("IO[bytes]", archive.extractfile(member)) as content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(EXECUTABLE if member.mode & 0o100 else PLAIN)
    os.utime(path, (MOMENT, MOMENT))


class _RefusedError(Exception):
    """What no archive of ours holds."""


class _Member(tarfile.TarInfo):
    """A member whose header is checked before tarfile reads what it announces."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Return the member of a header."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _LONG_NAMES and member.size > _MAX_LONG_NAME):
            raise _RefusedError(f"a name of {member.size:,} bytes")
        return member


def _checked(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    names: set[str] = set()
    size = 0
    for member in archive:
        name = member.name
        if not (member.isreg() or member.isdir() or member.issym()) or member.issparse():
            raise _RefusedError(f"{name!r:.200} is no file, directory or symbolic link")
        if not _is_plain(name) or name in names:
            raise _RefusedError(f"{name!r:.200} leads elsewhere, or stands there twice")
        names.add(name)
        size += member.size if member.isreg() else 0
        if len(names) > MAX_MEMBERS or size > MAX_TREE_BYTES:
            raise _RefusedError(
                f"more than {MAX_MEMBERS:,} members or {MAX_TREE_BYTES:,} bytes; leave large files "
                "out of the project"
            )
        yield member


def _is_plain(name: str) -> bool:
    """Whether a path is relative, and goes down only."""
    return "\0" not in name and all(part not in {"", ".", ".."} for part in name.split("/"))


def _make_link(link: tarfile.TarInfo, target: Path, links: dict[str, tarfile.TarInfo]) -> None:
    """Make a link that goes up first and then down.

    So each step up leaves a directory that is none behind a link, and what it ends at is inside.
    """
    folders = link.name.split("/")[:-1]
    above = {"/".join(folders[: end + 1]) for end in range(len(folders))}
    steps = link.linkname.split("/")
    ups = next((at for at, step in enumerate(steps) if step != ".."), len(steps))
    down = steps[ups:]
    goes_down = not down or down == ["."] or _is_plain("/".join(down))
    if not goes_down or ups > len(folders) or not above.isdisjoint(links):
        raise _RefusedError(f"the link {link.name!r:.200} leads elsewhere")
    path = target / link.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(link.linkname)
