"""The file of a SQLite memory: made, found, and kept from other users of the host."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import stat

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.files import close_to_others, make_directories, make_private
from lionagi_qe.persistence.server_support.migrations import not_there

_log = logging.getLogger(__name__)
# SQLite makes the files beside a database with the mode that the database has.
_BESIDE = ("", "-wal", "-shm", "-journal")
_ANYBODY = 0o007


def make_file(path: str) -> None:
    """Make a database file that nobody else can read, and its directory, where they are missing.

    Raises:
        ConfigurationError: they can't be made, or another user planted what stands there.

    """
    _check_planted(path)
    try:
        make_directories(pathlib.Path(path).parent)
    except OSError as error:
        msg = f"{path}: its directory can't be made ({error.strerror}); choose another path"
        raise ConfigurationError(msg) from error
    # What else may be wrong with the path, SQLite tells when it opens it.
    with contextlib.suppress(OSError):
        make_private(path)


def check_exists(path: str) -> None:
    """Refuse to make a database file where none may be made."""
    _check_planted(path)
    if not pathlib.Path(path).exists():
        raise not_there(path, "such file")


def close_file(path: str) -> None:
    """Take a database that everybody on the host may read, or write, from all but its owner.

    One that is open to its group alone is meant to be: it stays so.
    """
    real = pathlib.Path(os.path.realpath(path))
    try:
        mode = real.stat().st_mode
    except OSError:
        # Removed meanwhile: what SQLite says of it is told.
        return
    if mode & _ANYBODY == 0:
        return
    closed = [close_to_others(f"{real}{end}") for end in _BESIDE]
    if closed[0] is not None:
        _log.warning(
            "%s: other users of this host could read it (mode %o); it is its owner's alone now; "
            "chmod 660 shares it with its group",
            path,
            closed[0],
        )


def _check_planted(path: str) -> None:
    """Refuse files that another user may have put where a memory, or what is beside it, will lie.

    Whoever owns one reads what is written there; a log of his is taken for the memory's.
    """
    _check_link(path)
    real = pathlib.Path(os.path.realpath(path))
    try:
        database = real.lstat()
    except OSError:
        database = None
    if database is not None and not _is_ours(database) and database.st_mode & _ANYBODY:
        mode = stat.S_IMODE(database.st_mode)
        msg = (
            f"{path}: belongs to another user, and everybody on this host may read it (mode "
            f"{mode:o}); name a file of your own, or have its owner do chmod 660"
        )
        raise ConfigurationError(msg)
    for end in _BESIDE[1:]:
        _check_beside(f"{real}{end}", database)


def _check_beside(path: str, database: os.stat_result | None) -> None:
    try:
        facts = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISREG(facts.st_mode):
        msg = f"{path}: is no file, though SQLite would use it as one; remove it"
        raise ConfigurationError(msg)
    if _is_ours(facts):
        return
    if database is None or not (
        facts.st_uid == database.st_uid
        # Of a memory that is shared with its group, whoever comes first makes them.
        or (facts.st_gid == database.st_gid and database.st_mode & stat.S_IWGRP)
    ):
        msg = f"{path}: another user made it, who could read and change the memory; remove it"
        raise ConfigurationError(msg)


def _is_ours(facts: os.stat_result) -> bool:
    return facts.st_uid in {os.geteuid(), 0}


def _check_link(path: str) -> None:
    """Refuse a link that another user planted: what it points to is not what was asked for."""
    try:
        facts = os.lstat(path)
    except OSError:
        return
    if not pathlib.Path(path).is_symlink():
        return
    if not _is_ours(facts):
        msg = f"{path}: is a link that another user made; name the file itself"
        raise ConfigurationError(msg)
    if not pathlib.Path(path).exists():
        msg = f"{path}: is a link to nothing; name the file itself, or remove the link"
        raise ConfigurationError(msg)
