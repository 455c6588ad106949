"""Runs the project's code: a process of its own, few variables, limits, and none left behind.

For POSIX systems: process groups and their signals do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from platformdirs import user_cache_path

from lionagi_qe.agents.environment.cancellation import to_its_end
from lionagi_qe.agents.project import isolated_program, isolation
from lionagi_qe.agents.project.isolated_program import Launch, homes_of
from lionagi_qe.agents.project.scratch import delete, places_of
from lionagi_qe.agents.project.search_ends import end_for_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MARKER = "AQE_PROCESS"
# What programs need to find themselves and to speak the user's language; no credentials.
ALLOWED_VARIABLES = frozenset(
    {
        "CI",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "PATH",
        "TZ",
    }
)
ALLOWED_PREFIX = "LC_"
MAX_OUTPUT_BYTES = 256 * 1024 * 1024
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0
_TAIL_BYTES = 64 * 1024
_NEW_LOG = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INJECTED = Path(__file__).parents[1] / "inject"
_COUNT_SECONDS = 1.0
# Which variables name environments; a project can't set them.
_OF_ENVIRONMENTS = ("PATH", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended.

    Attributes:
        exit_code: its own, negative for a signal; None when it was stopped.
        stopped: why the fleet stopped it; None when it ended by itself.
        seconds: wall time.
        output: the last 64 KiB of what it printed; bytes that are no UTF-8 are escaped.
    """

    exit_code: int | None
    stopped: str | None
    seconds: float
    output: str

    @property
    def how(self) -> str:
        """How it ended, as a phrase."""
        if self.exit_code is None:
            return f"was stopped: {self.stopped}"
        if self.exit_code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-self.exit_code).name}"
        return f"ended with exit code {self.exit_code}"


def allowed_environment(extra: Iterable[str] = ()) -> dict[str, str]:
    """Return those of this process's variables that the project's code may see.

    Args:
        extra: names that the user lets through too.

    """
    wanted = ALLOWED_VARIABLES | set(extra)
    return {
        name: value
        for name, value in os.environ.items()
        if name in wanted or name.startswith(ALLOWED_PREFIX)
    }


def usual_memory() -> int:
    """Return the bytes of data that a process may have: three quarters of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


def queued_seconds(process: int) -> float:
    """Return for how many seconds a process could have run, and others did; 0 where nobody counts.

    That of its first thread, as Linux counts it in ``/proc/PID/schedstat``.
    """
    try:
        counted = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii")
        return int(counted.split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        # It has ended, or this is no Linux that counts.
        return 0.0


async def run(  # noqa: PLR0913 - a process has that many sides
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float | None = None,
    memory: int | None = None,
    watch: Callable[[], str | None] | None = None,
    installs: Sequence[Path] | None = None,
    reads: Sequence[Path] = (),
) -> Completed:
    """Run ``command`` in a process group of its own; when it returns, all of it has ended.

    A keeper stands between it and us (see ``aqe_keeper``): it is ended too if we are killed.

    Args:
        command: the program and its arguments; no shell.
        cwd: where it runs.
        env: its whole environment.
        log: the file that gets its output; above 256 MiB the process is stopped.
        timeout: seconds after which it is stopped; None for no limit.
        memory: most bytes of data of each of its processes; ``usual_memory`` if None.
        watch: called about ten times a second meanwhile, and once after the end; it may return why
            the process has to be stopped.
        installs: of an installer, directories that it writes to; it may use the network, too.
        reads: files and directories of the user's that it reads where it is isolated.

    Raises:
        IsolationError: it is to run isolated, with an interpreter that can't be.

    """
    marker = uuid.uuid4().hex
    started = time.monotonic()
    most = usual_memory() if memory is None else memory
    env = {**env, **end_for_git(), MARKER: marker}
    with _new_log(log) as output:
        confined = _Confined.of(command, cwd, env, installs, reads, most)
        launch = confined.launch if confined else Launch([*command], env, _nothing, memory=most)
        try:
            stopped, code = await _carry_out(launch, marker, cwd, output, timeout, watch, confined)
        finally:
            if confined is not None:
                # An engine may take a minute for it; and whoever goes on meets no trap.
                await to_its_end(asyncio.to_thread(confined.end))
        if confined is not None and code is not None:
            code = isolation.exit_code_of(code)
        if watch is not None:
            watch()
        return Completed(
            exit_code=None if stopped else code,
            stopped=stopped,
            seconds=time.monotonic() - started,
            output=_tail(output),
        )


async def _carry_out(  # noqa: PLR0913, PLR0917 - what a program has is as much
    launch: Launch,
    marker: str,
    cwd: Path,
    output: IO[bytes],
    timeout: float | None,
    watch: Callable[[], str | None] | None,
    confined: _Confined | None,
) -> tuple[str | None, int | None]:
    """Start it and wait for its end; return why it was stopped, if so, and its exit code."""
    process = await asyncio.create_subprocess_exec(
        *isolation.keeper_of(launch, marker),
        cwd=cwd,
        env={**launch.env, MARKER: marker},
        # Never written to: that it closes tells the keeper that we are gone.
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=launch.files,
    )
    try:
        crowd = None if confined is None else partial(_crowd, marker)
        stopped = await _wait(process, output, timeout, watch, crowd)
    finally:
        await to_its_end(_stop(process, marker))
        if process.stdin is not None:
            process.stdin.close()
    return stopped, process.returncode


async def _wait(
    process: asyncio.subprocess.Process,
    output: IO[bytes],
    timeout: float | None,
    watch: Callable[[], str | None] | None,
    crowd: Callable[[], int] | None,
) -> str | None:
    """Wait for the end; return why it has to be stopped instead, if so."""
    deadline = None if timeout is None else time.monotonic() + timeout
    next_count = time.monotonic()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _POLL_SECONDS)
            return None
        if watch is not None and (why := watch()) is not None:
            return why
        if deadline is not None and time.monotonic() > deadline:
            return f"it ran longer than {timeout:g} s"
        if os.fstat(output.fileno()).st_size > MAX_OUTPUT_BYTES:
            return f"it printed more than {MAX_OUTPUT_BYTES // 1024**2} MiB"
        if crowd is not None and time.monotonic() >= next_count:
            next_count = time.monotonic() + _COUNT_SECONDS
            if crowd() > isolated_program.MAX_PROCESSES:
                return f"it had more than {isolated_program.MAX_PROCESSES} processes"


@dataclass(frozen=True, slots=True)
class _Confined:
    """A program as it runs isolated.

    Attributes:
        how: it is isolated.
        launch: what starts it so.
        reads: what of ours it sees.
        writes: where it may write.
    """

    how: isolation.Isolation
    launch: Launch
    reads: list[Path]
    writes: list[Path]

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - what a program has is as much
        cls,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        installs: Sequence[Path] | None,
        further: Sequence[Path],
        memory: int,
    ) -> _Confined | None:
        """Return how a program runs isolated; None if it need not."""
        how = isolation.isolation()
        if how is None:
            return None
        program = shutil.which(command[0], path=env.get("PATH")) or command[0]
        reads, writes = places_of(cwd)
        reads += [_INJECTED, *_kept_that_are_named(command, env), *further]
        own = dict(env)
        if installs is not None:
            # A mount below what a program may have changed would be led by a link that it left.
            writes += [each for each in installs if not any(map(each.is_relative_to, writes))]
            # The user's caches hold what other projects install, and their settings passwords.
            cache = next((each for each in writes if each.name == "artifacts"), writes[0]) / "cache"
            cache.mkdir(exist_ok=True)
            own |= {"HOME": str(cache), "UV_CACHE_DIR": f"{cache}/uv", "XDG_CACHE_HOME": str(cache)}
            own |= {"PIP_CACHE_DIR": f"{cache}/pip"}
        launch = how.launch(
            [program, *command[1:]],
            own,
            cwd=cwd,
            reads=reads,
            writes=writes,
            network=installs is not None,
            memory=memory,
        )
        return cls(how, launch, [*reads, *homes_of(program)], writes)

    def end(self) -> None:
        """End what is left of the program, and delete what it may have left as a trap."""
        try:
            self.launch.close()
        finally:
            self.how.clean(self.writes, self.reads)


def _kept_that_are_named(command: Sequence[str], env: Mapping[str, str]) -> list[Path]:
    """Return those environments and tools of the cache directory that a command makes use of.

    Whatever else the environment says is the project's word, which opens nothing to it.
    """
    cache = user_cache_path("aqe", appauthor=False)
    found: set[Path] = set()
    for word in (*command, *(env[name] for name in _OF_ENVIRONMENTS if name in env)):
        for each in word.split(os.pathsep):
            path = Path(os.path.normpath(each))
            below = path.relative_to(cache).parts if path.is_relative_to(cache) else ()
            if len(below) > 1:
                # Of one name below: the directory itself holds what other projects use.
                found.add(cache.joinpath(*below[:2]))
    return sorted(found)


def _crowd(marker: str) -> int:
    return isolation.processes_beside(_marked(marker))


async def _stop(process: asyncio.subprocess.Process, marker: str) -> None:
    """End the process, its group, and descendants that left the group."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    for pid in _marked(marker):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: int) -> None:
    # The group is empty when everyone in it has ended: that is what we want.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _marked(marker: str) -> list[int]:
    """Return the processes that inherited the marker; Linux only, elsewhere none are found."""
    wanted = f"{MARKER}={marker}".encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        # Processes of others can't be read, and any may end meanwhile.
        with contextlib.suppress(OSError):
            if wanted in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


def _nothing() -> None:
    """Close what has nothing to close."""


def _new_log(log: Path) -> IO[bytes]:
    """Return a new file; what another program put under its name is replaced, and not followed."""
    if log.is_dir() and not log.is_symlink():
        delete(log)
    log.unlink(missing_ok=True)
    return os.fdopen(os.open(log, _NEW_LOG, 0o666), "w+b")


def _tail(output: IO[bytes]) -> str:
    # The file itself: its name may be another's by now.
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), _TAIL_BYTES, max(size - _TAIL_BYTES, 0))
    return tail.decode("utf-8", "backslashreplace")
