"""How a command ends before its work does: asked politely, or with nobody left who reads it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, TypeVar

from lionagi_qe.cli.status_line import above_status_line
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


def requests_to_end() -> list[signal.Signals]:
    """Return the signals that politely ask to end, without those ignored, as by nohup."""
    asking = (signal.SIGTERM, signal.SIGHUP)
    return [number for number in asking if signal.getsignal(number) is not signal.SIG_IGN]


def run_until_told(work: Coroutine[Any, Any, _T]) -> _T:
    """Do it; a polite request to end, or a terminal's end, ends it as Ctrl-C does, children too."""
    return asyncio.run(_until_told(work))


async def _until_told(work: Coroutine[Any, Any, _T]) -> _T:
    task = asyncio.create_task(work)
    # Another thread than the main one is told nothing.
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(NotImplementedError):
            for number in requests_to_end():
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def mention(text: str) -> None:
    """Write a line on standard error, if somebody reads it."""
    unheard = Unheard(sys.stderr)
    with above_status_line():
        unheard.write(f"{visible(text)}\n")
        unheard.flush()


class Unheard:
    """A text stream whose reader may go away: what nobody reads is dropped.

    For what is told while something else is done, which may count. A pipe's reader ends, a terminal
    is closed (EIO): neither is an error of that.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if somebody reads."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if somebody reads."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any stream
        """Be the stream in all else."""
        return getattr(self._stream, name)
