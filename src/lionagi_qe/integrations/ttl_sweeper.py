"""Removes what has expired every so often, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError, MemoryClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)


class TtlSweeper:
    """Calls ``sweep`` at intervals until it is stopped or the memory was closed.

    Args:
        sweep: removes what has expired; called in the sweeper's thread.
    """

    def __init__(self, sweep: Callable[[], object]) -> None:
        self._sweep = sweep
        self._thread: threading.Thread | None = None
        self._ended = Future[None]()
        self._stopping = threading.Event()

    def start(self, interval: float) -> Future[None]:
        """Sweep every ``interval`` seconds from now on, unless it does already.

        The future ends with the sweeper; to cancel it is to stop the sweeper.
        """
        if self._thread is None or not self._thread.is_alive():
            self._ended, self._stopping = ended, stopping = Future[None](), threading.Event()
            ended.add_done_callback(lambda _: stopping.set())
            self._thread = threading.Thread(
                target=self._work, args=(interval, ended, stopping), name="aqe-ttl", daemon=True
            )
            self._thread.start()
        return self._ended

    def stop(self, timeout: float | None = None) -> bool:
        """Stop it, waiting ``timeout`` seconds for a sweep that runs; whether it has ended."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self, interval: float, ended: Future[None], stopping: threading.Event) -> None:
        while not stopping.wait(interval):
            try:
                self._sweep()
            except MemoryClosedError:
                break
            except AqeError as error:
                _log.warning("what has expired could not be removed, next time then: %s", error)
        if ended.set_running_or_notify_cancel():
            ended.set_result(None)
