"""A small disk in memory that a fault fills. It is a mount, and so needs root.

``make chaos`` has a mount namespace of its own (``unshare``), so that none outlives it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

MEBIBYTES = 64
_OWN = "AQE_CHAOS_MOUNTS"


def may_mount() -> bool:
    """Whether this process is in a mount namespace of its own."""
    return os.environ.get(_OWN) == "1"


def enter_namespace() -> None:
    """Start this program again where it may mount; nothing where that is so, or can't be."""
    if may_mount() or os.name != "posix" or os.geteuid() or shutil.which("unshare") is None:
        return
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        return
    os.environ[_OWN] = "1"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.orig_argv[1:]])  # noqa: S606


@contextmanager
def folder() -> Generator[Path]:
    """Give a folder in memory: a small disk of its own where mounts are allowed."""
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own
    with TemporaryDirectory(prefix="aqe-chaos-", dir=parent) as name:
        path = Path(name)
        if not may_mount():
            yield path
            return
        options = f"size={MEBIBYTES}m,mode=1777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", name], check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def fill(path: Path) -> Path:
    """Take all the room that there is; return the file that has it."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return filler
