"""The process that reads and writes the memory, so that the tests' own process does neither.

What the tests do to their process (block sockets, stop clocks, patch modules, fork) doesn't touch
it, and the modules that it imports aren't theirs. It is no child of pytest's where there is a
shell: tests may wait for all children of theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE = "lionagi_qe.integrations.pytest.memory_service"
# Beyond what the process allows itself: for its start, and its last words.
_START_SECONDS = 5.0
_SHELL = "/bin/sh"
# What runs in the background has no stdin, unless it is called otherwise.
_IN_BACKGROUND = 'exec 3<&0; "$@" <&3 3<&- &'
# They would have the process measure its own coverage, or end at a warning of others.
_NOT_FOR_IT = ("COV_CORE_", "COVERAGE_PROCESS_", "PYTHONWARNINGS", "PYTEST_")


class MemoryProcess:
    """The process, from the session's begin to its end.

    Args:
        request: what it is told first; see ``memory_service.Request``.
        seconds: that it allows itself for an answer.
    """

    def __init__(self, request: Mapping[str, Any], seconds: float) -> None:
        self._seconds = seconds
        # No pipe: nobody reads it while the tests run.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        command = [sys.executable, "-P", "-W", "ignore", "-m", _SERVICE]
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_IT)
        }
        has_shell = os.name == "posix" and os.access(_SHELL, os.X_OK)
        if has_shell:
            # The shell ends at once, and the process belongs to nobody in the session.
            command = [_SHELL, "-c", _IN_BACKGROUND, "aqe", *command]
        self._process = subprocess.Popen(  # noqa: S603 - Python itself
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=variables,
            # Ctrl-C ends the tests; what they told until then is kept.
            start_new_session=True,
        )
        if has_shell:
            self._process.wait()
        self._is_lost = self._exchange(request, awaits=False) is None

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the process something, and return its answer, which has an ``error`` if it failed.

        Costs no longer than the process allows itself and the time of its start.
        """
        if not self._is_lost:
            answer = self._exchange(message, awaits=True)
            if answer is not None:
                return answer
            self._is_lost = True
        return {"error": f"the process for the memory gave no answer: {self._last_words()}"}

    def close(self) -> None:
        """Let the process end."""
        with suppress(BrokenPipeError):
            _stream(self._process.stdin).close()
        if self._is_lost and self._process.returncode is None:
            self._process.kill()
        self._process.wait()
        _stream(self._process.stdout).close()
        self._complaints.close()

    def _exchange(self, message: Mapping[str, Any], *, awaits: bool) -> dict[str, Any] | None:
        """Return the answer, {} where none is awaited; None if it can't be had.

        On a thread, since pipes know no time limit; it has ended when the tests run.
        """
        answers: list[dict[str, Any]] = []

        def exchange() -> None:
            with suppress(OSError, ValueError):
                stdin = _stream(self._process.stdin)
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()
                line = _stream(self._process.stdout).readline() if awaits else b"{}"
                answers.append(json.loads(line))

        thread = threading.Thread(target=exchange, name="aqe", daemon=True)
        thread.start()
        thread.join(self._seconds + _START_SECONDS)
        return answers[0] if answers else None

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"not within {self._seconds + _START_SECONDS:g} s"


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - it was asked for
    return stream
