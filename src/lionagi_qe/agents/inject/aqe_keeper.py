"""Stands between the fleet and the code that it runs: limits it, outlives it, ends it.

``python aqe_keeper.py MEMORY MARKER N WORD*N PROGRAM ARGUMENTS...``: runs the program with at most
MEMORY bytes of data a process (0 for no limit), and ends as it ends. A test that kills its parent
hits this process. Standard input is a pipe that nobody writes to: when it closes, the fleet is
gone, and all that the program started goes too, which is known by its group and by MARKER in its
environment; what else is left of it, the command of N words ends.

Runs isolated (``-I -S``), so that it starts soon and imports nothing of anybody's.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys

_STDIN = 0


def main() -> int:
    """Run the program and return its exit code; a signal that ended it ends us too."""
    memory, marker, number, *words = sys.argv[1:]
    ends, command = words[: int(number)], words[int(number) :]
    heard, said = os.pipe()
    for end in (heard, said):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    # A handler, since what is ignored would be ignored by the program too.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _hear)
    child = _started(command, int(memory))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _end_like(status)
        ready, _, _ = select.select([_STDIN, heard], [], [])
        if _STDIN in ready and not os.read(_STDIN, 1):
            _end_all(marker, ends)
        if heard in ready:
            os.read(heard, 4096)


def _hear(number: int, frame: object) -> None:
    del number, frame


def _started(command: list[str], memory: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _STDIN)
        if memory:
            # What is reserved and never written, as many runtimes do, does not count as data.
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        os.execvp(command[0], command)  # noqa: S606 - as we were told
    except (OSError, ValueError) as error:
        os.write(2, f"{command[0]}: {error}\n".encode(errors="replace"))
    os._exit(127)


def _end_like(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if -code not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    # Of a signal that does not end a process.
    return 128 - code


def _end_all(marker: str, ends: list[str]) -> None:
    """Kill what bears the marker, wherever it went, then our group, which includes ourselves."""
    if ends and not os.fork():
        # In nobody's group and without the marker, so that it is not ended itself.
        os.setsid()
        os.environ.pop("AQE_PROCESS", None)
        os.execvp(ends[0], ends)  # noqa: S606 - as we were told
    own = os.getpid()
    wanted = b"AQE_PROCESS=" + marker.encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208
        if not name.isdigit() or int(name) == own:
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if wanted in file.read().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            # Somebody else's, or gone meanwhile.
            continue
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
