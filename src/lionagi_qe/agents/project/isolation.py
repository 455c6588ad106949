"""Isolation of an examined project's code: what it sees, reaches and leaves behind.

A program that is isolated sees the system's programs and libraries, its interpreter, and what it
was given; no home directory, no other process, no network but its own loopback unless it is let.
It ends with the program that stands between it and us, however it hides from its process group.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import uuid
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lionagi_qe.agents.project.bubblewrap import bubblewrap
from lionagi_qe.agents.project.container_engine import container_engine
from lionagi_qe.agents.project.isolated_program import IsolatedProgram, Launch
from lionagi_qe.errors import IsolationError
from lionagi_qe.nearest import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from typing import IO

# A shell's way to tell the signal that ended a program, which whoever stands outside shares.
_SIGNAL_BASE = 128
_KEEPER = Path(__file__).parents[1] / "inject" / "aqe_keeper.py"
_OTHERWISE = "or run in a container or virtual machine of your own without --isolate"


class Way(Protocol):
    """How programs can be isolated on this machine."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def launch(self, given: IsolatedProgram) -> Launch:
        """Return how a program is started."""
        ...


# Best first: bubblewrap needs no engine and is sooner there.
_WAYS: Mapping[str, Callable[[], Way]] = {
    "bubblewrap": bubblewrap,
    "podman": partial(container_engine, "podman"),
    "docker": partial(container_engine, "docker"),
}
WAY_VARIABLE = "AQE_ISOLATE_BY"


@dataclass(frozen=True, slots=True)
class Isolation:
    """How programs are isolated from now on.

    Attributes:
        way: what isolates them.
        network: programs may use the machine's network.
    """

    way: Way
    network: bool = False

    @classmethod
    def find(cls, *, network: bool = False) -> Isolation:
        """Return how this machine isolates programs; costs a try of it a process.

        Raises:
            IsolationError: nothing that isolates works here.

        """
        named = os.environ.get(WAY_VARIABLE)
        if named and named not in _WAYS:
            raise IsolationError(f"{WAY_VARIABLE} = {named!r}: {meant(named, [*_WAYS])}")
        said: list[str] = []
        for find in [_WAYS[named]] if named else _WAYS.values():
            try:
                return cls(find(), network)
            except IsolationError as error:
                said.append(str(error))
        told = "; ".join(said)
        raise IsolationError(f"nothing here can isolate a project's code: {told}; {_OTHERWISE}")

    def launch(  # noqa: PLR0913 - what a program has is as much
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        network: bool = False,
        memory: int = 0,
    ) -> Launch:
        """Return how ``command`` is started isolated; the caller closes it.

        Args:
            command: the program, by its whole path, and its arguments.
            env: its environment, which it keeps.
            cwd: where it runs; what it may do there, ``reads`` and ``writes`` say.
            reads: directories and files that it may read.
            writes: directories that it may write to, too.
            network: it may use the network whatever else is said: an installer.
            memory: most bytes of data of each of its processes; 0 for no limit.

        Raises:
            IsolationError: it can't be shown its interpreter without your home directory.

        """
        given = IsolatedProgram.of(
            command,
            env,
            cwd=cwd,
            reads=reads,
            writes=writes,
            network=network or self.network,
            memory=memory,
        )
        return self.way.launch(given)

    def clean(self, places: Iterable[Path], reads: Iterable[Path] = ()) -> None:
        """Delete what an isolated program may have left for us to fall for.

        Links that lead out of where it was, which we would follow to read or to write in its
        stead, and pipes, sockets and devices, at which we would wait. Costs a look at each file.

        Args:
            places: that the program could write to; nothing writes there any more.
            reads: what links may lead to as well.

        """
        places = [*places]
        seen = [Path(os.path.realpath(place)) for place in (*places, *reads)]
        seen += [Path(place) for place in ("/usr", "/bin", "/lib", "/lib64", "/nix/store")]
        for place in places:
            for folder, directories, files in os.walk(place):
                for name in (*directories, *files):
                    _delete_trap(Path(folder, name), seen)


_current: ContextVar[Isolation | None] = ContextVar("isolation", default=None)


def isolation() -> Isolation | None:
    """Return how programs of an examined project are to be isolated; None if they aren't."""
    return _current.get()


@contextmanager
def isolated(*, wanted: bool, network: bool = False) -> Generator[None]:
    """Isolate what is started from here on, by this task and those that it begins.

    Raises:
        IsolationError: it is wanted, and this machine can't.

    """
    token = _current.set(Isolation.find(network=network) if wanted else _current.get())
    try:
        yield
    finally:
        _current.reset(token)


def ask(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    timeout: float,
    reads: Iterable[Path] = (),
    writes: Iterable[Path] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a program that is soon done and may be led by files of the project; isolated if asked.

    Args:
        command: the program, by its whole path, and its arguments.
        env: its environment.
        timeout: seconds, after which subprocess.TimeoutExpired is raised.
        reads: what it may read where it is isolated.
        writes: directories that it may write to there.

    Raises:
        OSError: it doesn't start.

    """
    current, reads, writes = isolation(), [*reads], [*writes]
    if current is None:
        return _answer(command, env, timeout)
    launch = current.launch(command, env, reads=reads, writes=writes)
    try:
        if launch.ends:
            # It would not end with us by itself.
            answer = _kept(launch, timeout)
        else:
            answer = _answer(launch.command, launch.env, timeout, launch.files)
    finally:
        launch.close()
        current.clean(writes, reads)
    return answer


def _kept(launch: Launch, timeout: float) -> subprocess.CompletedProcess[bytes]:
    """Run it behind a keeper, which ends it if we are gone."""
    hears, says = os.pipe()
    try:
        with os.fdopen(hears, "rb") as heard:
            words = keeper_of(launch, uuid.uuid4().hex)
            return _answer(words, launch.env, timeout, launch.files, heard)
    finally:
        os.close(says)


def keeper_of(launch: Launch, marker: str) -> list[str]:
    """Return the command of the process that stands between us and a program; see aqe_keeper."""
    words = [sys.executable, "-I", "-S", str(_KEEPER), str(launch.memory), marker]
    return [*words, str(len(launch.ends)), *launch.ends, *launch.command]


def _answer(
    command: Sequence[str],
    env: Mapping[str, str],
    timeout: float,
    files: tuple[int, ...] = (),
    heard: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - as the caller said
        command,
        env=dict(env),
        capture_output=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL if heard is None else heard,
        # A keeper that ends all in its group is not to end ours.
        start_new_session=heard is not None,
        pass_fds=files,
    )


def exit_code_of(code: int) -> int:
    """Return a program's exit code as it would be with nothing between: signals below 0."""
    return _SIGNAL_BASE - code if code > _SIGNAL_BASE else code


def processes_beside(pids: Iterable[int]) -> int:
    """Count the processes in the process namespaces of these, but for our own namespace."""
    spaces = {_space(pid) for pid in pids} - {_space("self"), None}
    if not spaces:
        return 0
    return sum(_space(entry.name) in spaces for entry in Path("/proc").glob("[0-9]*"))


def _space(pid: int | str) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        # It has ended, or is another user's.
        return None


def _delete_trap(path: Path, seen: Sequence[Path]) -> None:
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind):
        end = Path(os.path.realpath(path))
        harmless = any(end.is_relative_to(place) for place in seen)
    else:
        harmless = stat.S_ISREG(kind) or stat.S_ISDIR(kind)
    if not harmless:
        path.unlink()
