"""A pytest plugin that lets code touch nothing but a few directories while it is tried.

AQE_GUARD names these, separated as in PATH. Functions are called with arguments that nobody chose,
so one that deletes files, starts programs or opens connections must not get to do it: an audit hook
refuses, and the file ``guard.txt`` in the first directory names what was refused. A hook is no wall
against code that means harm (extension modules can pass it by); it stops honest code from doing
damage.
"""

from __future__ import annotations

import os
import sys
from typing import Any

ROOTS = [os.path.realpath(root) for root in os.environ["AQE_GUARD"].split(os.pathsep)]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ALWAYS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "signal.pthread_kill",
        "socket.bind",
        "socket.connect",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
_PATHS = frozenset(
    {
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "shutil.chown",
        "shutil.copyfile",
        "shutil.copymode",
        "shutil.copytree",
        "shutil.make_archive",
        "shutil.move",
        "shutil.rmtree",
        "shutil.unpack_archive",
        "sqlite3.connect",
    }
)
_refusing = False


class RefusedError(PermissionError):
    """What the code was about to do is not allowed while it is tried."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    global _refusing  # noqa: PLW0603 - a hook has no state of its own
    if _refusing or not (event == "open" or event in _ALWAYS or event in _PATHS):
        return
    _refusing = True
    try:
        if event in _ALWAYS or not all(map(_inside, _touched(event, arguments))):
            with open(os.path.join(ROOTS[0], "guard.txt"), "a", encoding="utf-8") as file:  # noqa: PTH118, PTH123
                file.write(f"{event}\n")
            raise RefusedError(event)
    finally:
        _refusing = False


def _touched(event: str, arguments: tuple[Any, ...]) -> list[Any]:
    """Return the paths that an event writes to."""
    if event != "open":
        return [each for each in arguments[:2] if isinstance(each, (str, bytes, os.PathLike))]
    path, mode, flags = arguments
    writes = any(sign in mode for sign in "wax+") if mode else bool(flags & _WRITES)
    return [path] if writes and not isinstance(path, int) else []


def _inside(path: Any) -> bool:  # noqa: ANN401 - what paths may be
    try:
        real = os.path.realpath(os.fsdecode(path))
    except ValueError:
        # No path at all (a null byte in it), so nothing is touched.
        return True
    # The directory itself is opened where a temporary file has no name.
    return real == os.devnull or any((real + os.sep).startswith(root + os.sep) for root in ROOTS)


sys.addaudithook(_audit)
