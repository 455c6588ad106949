"""What a program is given that runs isolated, whichever way that is; and how it is started then."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.errors import IsolationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# Everybody's on a system. Not all of /etc: it holds keys, and passwords that root may read.
SYSTEM = (
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
RAM_DISK_BYTES = 256 * 1024**2
MAX_PROCESSES = 1024
# Each names a file of certificates or a directory of them.
_CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class IsolatedProgram:
    """A program, and all that it is given of the machine.

    Attributes:
        command: the program, by its whole path, and its arguments.
        env: its whole environment.
        cwd: where it runs; None if that doesn't matter.
        reads: directories and files that it may read, besides ``SYSTEM``.
        writes: directories that it may write to, too.
        links: (link, what it says) on the way to the program.
        network: it may use the machine's network.
        memory: most bytes of data of each of its processes; 0 for no limit.
    """

    command: tuple[str, ...]
    env: dict[str, str]
    cwd: Path | None = None
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    network: bool = False
    memory: int = 0

    @classmethod
    def of(  # noqa: PLR0913 - what a program has is as much
        cls,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None,
        reads: Iterable[Path],
        writes: Iterable[Path],
        network: bool,
        memory: int,
    ) -> IsolatedProgram:
        """Return a program with its interpreter and its certificates among what it reads.

        Raises:
            IsolationError: its interpreter can't be shown without the user's home directory.

        """
        # Those of the user: what a project sets so would open to it whatever it names.
        certificates = [
            Path(env[name])
            for name in _CERTIFICATES
            if env.get(name) and env[name] == os.environ.get(name)
        ]
        return cls(
            tuple(command),
            dict(env),
            cwd,
            (*homes_of(command[0]), *certificates, *reads),
            tuple(writes),
            tuple(_links(command[0])),
            network,
            memory,
        )


@dataclass(frozen=True, slots=True)
class Launch:
    """How an isolated program is started.

    Nothing that stands outside is led by ``env`` of the isolated program: a dynamic linker's
    variables would have it run the project's code.

    Attributes:
        command: what stands outside and starts it.
        env: the environment of that.
        files: descriptors that it inherits.
        memory: most bytes of data that it is to be limited to for the program's sake; 0 for none.
        ends: a command that ends the program if who started it is gone; () if nothing need.
        close: ends what is left of it, when what stood outside has ended.
    """

    command: list[str]
    env: dict[str, str]
    close: Callable[[], None]
    files: tuple[int, ...] = ()
    memory: int = 0
    ends: tuple[str, ...] = ()


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
