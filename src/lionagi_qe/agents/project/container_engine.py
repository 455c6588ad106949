"""Isolation by a container engine, Podman or Docker, where bubblewrap can't.

The image is empty: a container sees the machine's own system, read-only, and what it is given, each
at its own place, so that interpreters and environments work as they do outside.
"""

from __future__ import annotations

import functools
import os
import resource
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.isolated_program import (
    MAX_PROCESSES,
    RAM_DISK_BYTES,
    SYSTEM,
    IsolatedProgram,
    Launch,
)
from lionagi_qe.agents.project.scratch import Scratch
from lionagi_qe.errors import IsolationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_IMAGE = "localhost/aqe-empty:1"
_EMPTY_TAR = bytes(10240)
_SECONDS = 60
_PAUSE_SECONDS = 0.2
# Reads the variables from a file, since everybody on the machine sees what is on a command line.
# The shell stays, as the namespace's first process: a program that became it could take the
# variable away by which its like are found.
_INIT = '. "$0"; "$@"; exit $?'
# Of the machine, and no more: the counting keeper stops a program at MAX_PROCESSES, and tells why.
_MOST_PROCESSES = 2 * MAX_PROCESSES
# What Podman keeps itself below as well; a container's limit can't be above it.
_PODMAN_PROCESSES = 32768
_MEMORY_SHARE = 3 / 4
_MARKER = "AQE_PROCESS"
_DOCKER_LOGS = ("--log-driver", "none")
# The program writes where we do, in the order in which it does, through nobody's hands.
_PODMAN_LOGS = ("--log-driver", "passthrough")


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """A container engine that works here.

    Attributes:
        program: its client's path.
        kind: "podman" or "docker".
    """

    program: str
    kind: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.kind.capitalize()

    def launch(self, given: IsolatedProgram) -> Launch:
        """Return how a program is started; its container is gone once that is closed.

        Costs a private directory, and an engine's half a second or so to start.
        """
        scratch = Scratch.create()
        place = scratch.root
        name = f"aqe-{secrets.token_hex(12)}"
        # In a directory of mode 0700.
        variables = place / "variables"
        variables.write_text(_exports(given.env), encoding="utf-8", errors="surrogateescape")
        words = [self.program, "run", "--rm", "--name", name, "--pull", "never"]
        words += ["--sig-proxy=false", "--read-only", "--hostname", "isolated"]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        # Where SELinux is: what is bound keeps its labels, which are the user's.
        words += ["--security-opt", "label=disable"]
        words += ["--network", "host" if given.network else "none"]
        words += [*self._own(), *_limits(given.memory)]
        words += ["--mount", f"type=tmpfs,destination=/tmp,tmpfs-size={RAM_DISK_BYTES}"]
        reads = [*SYSTEM, *map(str, given.reads)]
        # By what is seen where: engines refuse a place that is named twice, and the last holds.
        mounts = {
            target: _mount(source, target, "readonly") for source, target in _read_only(reads)
        }
        for source, target in [(str(variables), str(variables)), *_folders_of(given.links, place)]:
            mounts[target] = _mount(source, target, "readonly")
        mounts |= {str(each): _mount(str(each), str(each)) for each in given.writes}
        words += [word for mount in mounts.values() for word in ("--mount", mount)]
        if given.cwd is not None:
            words += ["--workdir", str(given.cwd)]
        # Nothing of the engine's own variables, but the one that the program is known by.
        words += [_IMAGE, "/usr/bin/env", "-i", f"{_MARKER}={given.env.get(_MARKER, '')}"]
        words += ["/bin/sh", "-c", _INIT, str(variables), *given.command]

        def close() -> None:
            # Also after what looked like its end: the client may have been killed alone.
            self._remove(name)
            scratch.remove()

        return Launch(words, dict(os.environ), close, ends=(*self._removal(), name))

    def _own(self) -> Iterable[str]:
        """Return options of this engine alone."""
        if self.kind == "docker":
            return (*_DOCKER_LOGS, "--user", f"{os.getuid()}:{os.getgid()}")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = f"nofile={soft}:{hard}"
        most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        processes = _PODMAN_PROCESSES if most < 0 else min(most, _PODMAN_PROCESSES)
        words = [*_PODMAN_LOGS, "--ulimit", files, "--ulimit", f"nproc={processes}:{processes}"]
        words += ["--read-only-tmpfs=false", "--systemd=false", "--http-proxy=false"]
        words += ["--no-hosts", "--passwd=false"]
        return words if os.getuid() == 0 else [*words, "--userns", "keep-id"]

    def _removal(self) -> Sequence[str]:
        waits = ("--time", "0") if self.kind == "podman" else ()
        return (self.program, "rm", "--force", "--volumes", *waits)

    def _remove(self, name: str) -> None:
        """End a container; one that is gone is as well.

        Raises:
            IsolationError: it can't be ended.

        """
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                answer = _call([*self._removal(), name])
            except subprocess.TimeoutExpired:
                said = f"no answer within {_SECONDS} s"
            else:
                said = answer.stderr.decode(errors="replace").strip()
                if not answer.returncode or "no such container" in said.lower():
                    return
            # The engine itself may be about to remove it, which makes it busy.
            if time.monotonic() > deadline:
                raise IsolationError(
                    f"{self.kind}: the container {name} of an isolated program could not be "
                    f"ended: {said}; end it by hand: {self.kind} rm --force {name}"
                )
            time.sleep(_PAUSE_SECONDS)


def _limits(memory: int) -> list[str]:
    total = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _MEMORY_SHARE)
    words = ["--memory", str(total), "--pids-limit", str(_MOST_PROCESSES)]
    words += ["--shm-size", str(RAM_DISK_BYTES), "--ulimit", "core=0:0"]
    return [*words, "--ulimit", f"data={memory}:{memory}"] if memory else words


def _exports(env: Mapping[str, str]) -> str:
    # A name that is none to a shell can't be handed on by one.
    return "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in env.items()
        if name.isidentifier() and name.isascii()
    )


def _mount(source: str, target: str, *options: str) -> str:
    """Return the words of a bind mount, as the engines read them: a line of CSV."""
    fields = ["type=bind", f"source={source}", f"destination={target}", *options]
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)


def _read_only(places: Iterable[str]) -> list[tuple[str, str]]:
    """Return what to bind for these to be read only: with what is mounted below, each by itself."""
    found: dict[str, str] = {}
    mounted = _mount_points()
    for place in places:
        source = os.path.realpath(place)
        if not Path(source).exists():
            continue
        found[place] = source
        # A bind that is read-only is so at its top alone.
        for each in mounted:
            if each.startswith(f"{source}/"):
                found[place + each.removeprefix(source)] = each
    return [(source, target) for target, source in found.items()]


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    points = (line.split(b" ")[4].decode("unicode_escape").encode("latin-1") for line in lines)
    return [os.fsdecode(point) for point in points]


def _folders_of(links: Iterable[tuple[str, str]], place: Path) -> list[tuple[str, str]]:
    """Return what to bind for links to be there: folders that hold them, and nothing else."""
    folders: dict[str, Path] = {}
    for link, target in links:
        parent = str(Path(link).parent)
        if parent not in folders:
            folders[parent] = place / f"links-{len(folders)}"
            folders[parent].mkdir()
        (folders[parent] / Path(link).name).symlink_to(target)
    return [(str(folder), parent) for parent, folder in folders.items()]


@functools.cache
def container_engine(kind: str) -> ContainerEngine:
    """Return a container engine, once it has been seen to work here; costs a container a process.

    Args:
        kind: "podman" or "docker".

    Raises:
        IsolationError: it is not there, or does not run here.

    """
    program = shutil.which(kind)
    if program is None:
        raise IsolationError(f"{kind} is not on PATH")
    found = ContainerEngine(program, kind)
    why = _why_not(found)
    if why is not None:
        raise IsolationError(f"{program} does not isolate anything here: {why}")
    return found


def _why_not(engine: ContainerEngine) -> str | None:
    """Return why an engine can't isolate on this machine, if so, in its own words."""
    try:
        if _call([engine.program, "image", "inspect", _IMAGE]).returncode:
            made = _call([engine.program, "import", "-", _IMAGE], _EMPTY_TAR)
            if made.returncode:
                return _last_line(made)
        # Of an engine on another machine, or in a virtual one, it would be another file.
        with tempfile.NamedTemporaryFile(mode="w") as file:
            word = secrets.token_hex(12)
            file.write(word)
            file.flush()
            cat = shutil.which("cat") or "/bin/cat"
            given = IsolatedProgram((cat, file.name), {}, reads=(Path(file.name),))
            launch = engine.launch(given)
            try:
                answer = _call(launch.command)
            finally:
                launch.close()
        if answer.returncode:
            return _last_line(answer)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if answer.stdout.decode() == word else "its containers see another machine's files"


def _call(command: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - the engine's client
        command, input=given, capture_output=True, check=False, timeout=_SECONDS
    )


def _last_line(answer: subprocess.CompletedProcess[bytes]) -> str:
    said = answer.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"exit code {answer.returncode}"
