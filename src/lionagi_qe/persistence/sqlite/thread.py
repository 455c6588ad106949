"""A thread that owns one SQLite connection and does what it is handed, in order.

Only this thread touches the connection. A caller that is cancelled just stops waiting: its work
is still done whole, and its answer dropped.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from lionagi_qe.errors import (
    AqeError,
    BackendFullError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_LONGEST_PAUSE = 0.005


class ConnectionThread:
    """Opens a connection in a thread of its own and closes it there.

    Args:
        path: the file, or ":memory:".
        prepare: called once with the open connection (settings, statements).
        busy_seconds: how long to wait for another process's lock.
    """

    def __init__(
        self, path: str, prepare: Callable[[apsw.Connection], None], busy_seconds: float
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._busy_seconds = busy_seconds
        self._waiting_since = 0.0
        self._jobs: queue.SimpleQueue[Callable[[apsw.Connection], None] | None]
        self._jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the connection; raises what opening it raises."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._ended = ended = loop.create_future()
        self._thread = threading.Thread(
            target=self._work,
            args=(loop, opened, ended),
            name=f"aqe-sqlite {self._path}",
            daemon=True,
        )
        self._thread.start()
        await opened

    async def run(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do ``job`` on the thread and return what it returns; SQLite's errors become ours."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work(connection: apsw.Connection) -> None:
            self._waiting_since = time.monotonic()
            try:
                result = job(connection)
            except Exception as error:  # noqa: BLE001 - handed to the caller
                _deliver(loop, done, None, explain(error, self._path))
            else:
                _deliver(loop, done, result, None)

        self._jobs.put(work)
        return await done

    async def stop(self) -> None:
        """Finish what was handed in, close the connection, end the thread."""
        if self._thread is None or self._ended is None:
            return
        thread, self._thread = self._thread, None
        self._jobs.put(None)
        # No executor, which there is none of while the interpreter ends.
        await asyncio.shield(self._ended)
        thread.join()

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: asyncio.Future[None],
        ended: asyncio.Future[None],
    ) -> None:
        try:
            self._serve(loop, opened)
        finally:
            _deliver(loop, ended, None, None)

    def _serve(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            connection = apsw.Connection(self._path)
        except apsw.Error as error:
            _deliver(loop, opened, None, explain(error, self._path))
            return
        try:
            self._waiting_since = time.monotonic()
            connection.set_busy_handler(self._wait_for_lock)
            self._prepare(connection)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            connection.close()
            _deliver(loop, opened, None, explain(error, self._path))
            return
        _deliver(loop, opened, None, None)
        while (job := self._jobs.get()) is not None:
            job(connection)
        connection.close()

    def _wait_for_lock(self, _: int) -> bool:
        """Pause briefly and at random, so that no process is always the unlucky one."""
        if time.monotonic() - self._waiting_since >= self._busy_seconds:
            return False
        time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311
        return True


def _deliver(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Any],
    result: object,
    error: Exception | None,
) -> None:
    def deliver() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        # The loop was closed under a memory that wasn't; nobody is left to tell.
        return


def explain(error: Exception, path: str) -> Exception:
    """Return the package's error for one of SQLite's; others stay as they are."""
    if not isinstance(error, apsw.Error) or isinstance(error, AqeError):
        return error
    reason = str(error).split(": ", 1)[-1]
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        ours: AqeError = BackendTimeoutError(
            f"{path}: another process kept the database locked; nothing was changed; "
            "raise timeout if its transactions are that long",
        )
    elif isinstance(error, apsw.NotADBError | apsw.CorruptError):
        ours = ConfigurationError(f"{path}: not a usable SQLite database ({reason})")
    elif isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError):
        ours = ConfigurationError(
            f"{path}: can't be opened for reading and writing ({reason}); check the path, that its "
            "directory exists and the permissions of both",
        )
    elif isinstance(error, apsw.FullError):
        ours = BackendFullError(
            f"{path}: {reason}; nothing was changed; make room on its disk, which removals need a "
            "little of, too"
        )
    else:
        ours = BackendUnavailableError(f"{path}: SQLite reports {reason}; nothing was changed")
    ours.__cause__ = error
    return ours
