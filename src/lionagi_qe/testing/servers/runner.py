"""Running one server: as a process of this machine or as a Docker container."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Protocol

import psutil

from lionagi_qe.testing.servers.errors import ServerStartError
from lionagi_qe.testing.servers.guard import Guard
from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PATIENCE = 30.0
# Seconds: the first use of an image downloads it.
_DOWNLOADING = 600.0
_LOG_TAIL = 2000


class Runner(Protocol):
    """What a server's life consists of. Its data stay until ``close``."""

    def start(self) -> None:
        """Start it, the first time or again; doesn't wait until it answers."""
        ...

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        ...

    def kill(self) -> None:
        """End it at once, as a crash would."""
        ...

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        ...

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        ...

    def close(self) -> None:
        """End it and remove all that it left."""
        ...

    def running(self) -> bool:
        """Whether it lives."""
        ...

    def log(self) -> str:
        """Return the end of what it said."""
        ...


class LocalProcess:
    """A server as a child process with a folder of its own.

    Args:
        command: how to start it; it must stay in the foreground.
        folder: its folder, removed by ``close`` or when this process dies.
        gentle: the signal that makes it end in good order.
        quick: the signal that makes it end soon, freeing what outlives a process.
        user: whom to run it as, if not the present user.

    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        gentle: signal.Signals = signal.SIGTERM,
        quick: signal.Signals = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._log = folder / "server.log"
        self._gentle = gentle
        self._quick = quick
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    def start(self) -> None:
        """Start the process."""
        if self._guard is None:
            name = self._quick.name.removeprefix("SIG")
            self._guard = Guard(["rm", "-rf", "--", str(self._folder)], signal=name)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's server
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
                user=self._user,
            )
        self._guard.watch([self._process.pid])

    def stop(self) -> None:
        """Send the gentle signal and wait; kill what doesn't heed it."""
        self._end(self._gentle)

    def kill(self) -> None:
        """Send SIGKILL to the process and its children."""
        family = self._halted_family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
        wait_until(lambda: not any(map(_alive, family)), "killed processes end", timeout=_PATIENCE)
        self._forget()

    def pause(self) -> None:
        """Send SIGSTOP to the process and its children."""
        family = self._halted_family()
        if self._guard is not None:
            self._guard.watch([process.pid for process in family])
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """Send SIGCONT to the process and its children."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def close(self) -> None:
        """End the process quickly and remove its folder."""
        if self.running():
            self.resume()
        self._end(self._quick)
        if self._guard is not None:
            self._guard.leave()
            self._guard = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return the end of the log file."""
        if not self._log.exists():
            return ""
        return self._log.read_text(errors="replace")[-_LOG_TAIL:]

    def _halted_family(self) -> list[psutil.Process]:
        """Stop the process, then look for its children: one forked after the look would escape.

        A child of PostgreSQL that outlives its parent may wait for ever on a lock of a killed one,
        and as long as it does no server can start on the same data.
        """
        family = self._family()
        if not family:
            return []
        parent = family[0]
        # Gone, or stuck in the system: the children that were seen are its family all the same.
        with contextlib.suppress(psutil.NoSuchProcess, ServerStartError):
            parent.suspend()
            wait_until(lambda: _halted(parent), "a stopped process stops", timeout=_PATIENCE)
        return list(dict.fromkeys([*family, *self._family()]))

    def _family(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()

    def _forget(self) -> None:
        self._process = None
        if self._guard is not None:
            self._guard.watch([])


def _alive(process: psutil.Process) -> bool:
    """Whether it still does anything: a zombie, whom its parent has yet to notice, doesn't."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _halted(process: psutil.Process) -> bool:
    return process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}


class Container:
    """A server in a Docker container that listens on 127.0.0.1 only.

    Args:
        image: e.g. ``postgres:15-alpine``.
        arguments: what follows the image's name.
        options: further options of ``docker run``.

    """

    def __init__(
        self, image: str, arguments: Sequence[str] = (), *, options: Sequence[str] = ()
    ) -> None:
        self.name = f"lionagi-qe-test-{os.getpid()}-{os.urandom(4).hex()}"
        self._run = ["run", "--detach", "--name", self.name, *options, image, *arguments]
        self._guard: Guard | None = None

    def start(self) -> None:
        """Create the container, or start it again."""
        if self._guard is None:
            guard = Guard(["docker", "rm", "--force", "--volumes", self.name])
            try:
                docker(*self._run)
            except BaseException:
                # Created it may be, though it didn't start: its port may be taken.
                guard.clean_up()
                raise
            self._guard = guard
        else:
            docker("start", self.name)

    def stop(self) -> None:
        """Ask the server to end and wait; the container and its data stay."""
        docker("stop", "--time", f"{_PATIENCE:.0f}", self.name)

    def kill(self) -> None:
        """Send SIGKILL to the server."""
        docker("kill", self.name)

    def pause(self) -> None:
        """Freeze all processes of the container."""
        docker("pause", self.name)

    def resume(self) -> None:
        """Let them go on."""
        docker("unpause", self.name)

    def close(self) -> None:
        """Remove the container and its data."""
        if self._guard is not None:
            docker("rm", "--force", "--volumes", self.name)
            self._guard.leave()
            self._guard = None

    def running(self) -> bool:
        """Whether the container runs."""
        state = docker("inspect", "--format", "{{.State.Running}}", self.name)
        return state.strip() == "true"

    def log(self) -> str:
        """Return the end of the container's log."""
        return docker("logs", "--tail", "20", self.name)[-_LOG_TAIL:]


def docker(*arguments: str, seconds: float = _DOWNLOADING) -> str:
    """Run a command of Docker's client, for so long at most, and return what it printed.

    Raises:
        ServerStartError: it failed; the message quotes it.

    """
    try:
        done = subprocess.run(  # noqa: S603 - the caller's container
            ["docker", *arguments],  # noqa: S607 - wherever PATH has it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=seconds,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "output", None) or error
        msg = f"docker {' '.join(arguments)}: {said}"
        raise ServerStartError(msg) from error
    return done.stdout


@functools.cache
def docker_runs(image: str) -> bool:
    """Whether Docker's engine answers and has an image, or gets it: once, up to ten minutes.

    Where it doesn't, as on a machine that is offline, programs of the machine itself are left.
    """
    if shutil.which("docker") is None or not _docker_does("info", seconds=20):
        return False
    if _docker_does("image", "inspect", image, seconds=20):
        return True
    return _docker_does("pull", "--quiet", image, seconds=_DOWNLOADING)


def _docker_does(*arguments: str, seconds: float) -> bool:
    try:
        docker(*arguments, seconds=seconds)
    except ServerStartError:
        return False
    return True
