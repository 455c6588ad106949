"""Cleaning up after a test process that died, however it died."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Reads one line per change: the process numbers to end, or "leave". The pipe closes when the
# process at its other end exits, even by SIGKILL. Stopped processes are woken so that they see the
# signal; when the first named is gone, or after five seconds, the rest is killed.
_SCRIPT = """
signal=$1; shift; pids=
while read -r line; do
    if [ "$line" = leave ]; then exit 0; fi
    pids=$line
done
if [ -n "$pids" ]; then
    kill -s "$signal" $pids; kill -s CONT $pids
    first=${pids%% *}; tries=0
    while kill -s 0 "$first" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -s KILL $pids
fi
exec "$@"
"""


class Guard:
    """A shell that waits for this process to end and then cleans up behind it.

    A pipe is used instead of Linux's PR_SET_PDEATHSIG because that fires when the *thread* that
    started the server ends, is lost in a user namespace, removes no files, and exists only there.

    Args:
        cleanup: the command to run at last, e.g. to remove a directory or a container.
        signal: the name of the signal that ends the watched processes.

    """

    def __init__(self, cleanup: list[str], *, signal: str = "TERM") -> None:
        self._shell = subprocess.Popen(  # noqa: S603 - a fixed script
            ["/bin/sh", "-c", _SCRIPT, "guard", signal, *cleanup],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C and a kill of our process group must not reach it.
            start_new_session=True,
        )

    def watch(self, pids: Iterable[int]) -> None:
        """Have these processes ended, instead of those named before."""
        self._tell(" ".join(str(pid) for pid in pids))

    def leave(self) -> None:
        """Go without cleaning up."""
        self._tell("leave")
        self.clean_up()

    def clean_up(self) -> None:
        """Clean up now and go; a second call, or one after ``leave``, does nothing."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait()

    def _tell(self, line: str) -> None:
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.write(f"{line}\n".encode())
            self._shell.stdin.flush()
