"""A pytest plugin that lets code touch nothing but a few directories while it is tried.

AQE_GUARD names these, separated as in PATH; AQE_GUARD_READS names further ones that may be read, as
Python's own and the machine's may be. Functions are called with arguments that nobody chose, by
tests that a language model may have written, so one that deletes files, starts programs, opens
connections or reads the user's files must not get to do it: an audit hook refuses, and the file
``guard.txt`` in the first directory names what was refused. A hook is no wall against code that
means harm (extension modules can pass it by); it stops honest code from doing damage.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOTS = [os.path.realpath(root) for root in os.environ["AQE_GUARD"].split(os.pathsep)]
_DIRECTORIES = [
    *(os.path.realpath(each) for each in os.environ["AQE_GUARD_READS"].split(os.pathsep)),
    *(os.path.realpath(each) for each in (sys.prefix, sys.base_prefix, sys.exec_prefix)),
    # As it is now: what is tried could add to it.
    *(os.path.realpath(each) for each in sys.path),
    *("/dev", "/etc/localtime", "/etc/mime.types", "/lib", "/lib64", "/sys", "/usr"),
]
_LOADED = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
READABLE = [
    *_DIRECTORIES,
    # Debian's Python has its sitecustomize in /etc; Hypothesis reads the sources of all modules.
    *{
        path
        for path in (os.path.realpath(file) for file in _LOADED if isinstance(file, str))
        if not path.startswith(tuple(root + os.sep for root in _DIRECTORIES))
    },
]
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
_READS = frozenset({"open", "os.listdir", "os.scandir"})
_refusing = False


class RefusedError(PermissionError):
    """What the code was about to do is not allowed while it is tried."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    global _refusing  # noqa: PLW0603 - a hook has no state of its own
    if _refusing or not (event in _READS or event in _ALWAYS or event in _PATHS):
        return
    _refusing = True
    try:
        if event in _ALWAYS or not _allowed(event, arguments):
            with open(os.path.join(ROOTS[0], "guard.txt"), "a", encoding="utf-8") as file:  # noqa: PTH118, PTH123
                file.write(f"{event}\n")
            raise RefusedError(event)
    finally:
        _refusing = False


def exempt(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is not refused: for the plugin that forks and ends its children."""

    def call(*arguments: Any) -> Any:  # noqa: ANN401 - as the function has it
        global _refusing  # noqa: PLW0603 - as above
        _refusing = True
        try:
            return function(*arguments)
        finally:
            _refusing = False

    return call


def _allowed(event: str, arguments: tuple[Any, ...]) -> bool:
    if event not in _READS:
        paths = [each for each in arguments[:2] if isinstance(each, (str, bytes, os.PathLike))]
        return all(_inside(each, ROOTS) for each in paths)
    path = arguments[0]
    if path is None or isinstance(path, int):
        # The working directory, or what was opened before.
        return True
    if event == "open" and _writes(*arguments[1:]):
        return _inside(path, ROOTS)
    own = "/proc/" + str(os.getpid())
    return _inside(path, [*ROOTS, *READABLE, own])


def _writes(mode: str | None, flags: int) -> bool:
    return any(sign in mode for sign in "wax+") if mode else bool(flags & _WRITES)


def _inside(path: Any, roots: Iterable[str]) -> bool:  # noqa: ANN401 - what paths may be
    try:
        real = os.path.realpath(os.fsdecode(path))
    except ValueError:
        # No path at all (a null byte in it), so nothing is touched.
        return True
    # The directory itself is opened where a temporary file has no name.
    return real == os.devnull or any((real + os.sep).startswith(root + os.sep) for root in roots)


sys.addaudithook(_audit)
