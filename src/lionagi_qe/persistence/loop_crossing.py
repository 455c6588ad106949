"""Calls that one event loop makes in another: those of one turn cross together, answers too.

To wake a loop takes a system call, more than many a call of a memory takes by itself; what
``asyncio.run_coroutine_threadsafe`` needs for each call is needed here once for all of a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe.errors import MemoryClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
CLOSED = "this memory was closed; make a new one"


class LoopCrossing:
    """Makes calls in a loop that another thread runs.

    Args:
        there: the loop that calls are made in.
    """

    def __init__(self, there: asyncio.AbstractEventLoop) -> None:
        self._there = there
        # A thread runs one loop at a time.
        self._here = threading.local()

    async def call(self, action: Callable[[], Awaitable[T]]) -> T:
        """Return what ``action()`` comes to there; to be cancelled is to cancel it there.

        Raises:
            MemoryClosedError: the other loop was closed.

        """
        loop = asyncio.get_running_loop()
        side: _Side | None = getattr(self._here, "side", None)
        if side is None or side.loop is not loop:
            side = self._here.side = _Side(loop, self._there)
        call = side.begin(action)
        try:
            return await call.future
        except asyncio.CancelledError:
            side.cancel(call)
            raise


class _Call:
    """A call, the future that waits for it here, and the task that makes it there."""

    __slots__ = ("action", "context", "future", "task")

    def __init__(self, action: Callable[[], Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.action = action
        self.context: Context = copy_context()
        self.future = future
        self.task: asyncio.Task[Any] | None = None


class _Side:
    """The calls of one loop.

    Args:
        loop: of those who call.
        there: where calls are made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, there: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._there = there
        self._begun: list[_Call] = []
        self._ended: list[_Call] = []

    # In the loop of those who call

    def begin(self, action: Callable[[], Awaitable[Any]]) -> _Call:
        call = _Call(action, self.loop.create_future())
        if not self._begun:
            self.loop.call_soon(self._send)
        self._begun.append(call)
        return call

    def cancel(self, call: _Call) -> None:
        def cancel() -> None:
            if call.task is not None:
                call.task.cancel()

        # A loop that was closed has cancelled all.
        with contextlib.suppress(RuntimeError):
            self._there.call_soon_threadsafe(cancel)

    def _send(self) -> None:
        calls, self._begun = [call for call in self._begun if not call.future.done()], []
        try:
            self._there.call_soon_threadsafe(self._make, calls)
        except RuntimeError:
            for call in calls:
                call.future.set_exception(MemoryClosedError(CLOSED))

    @staticmethod
    def _deliver(calls: Sequence[_Call]) -> None:
        for call in calls:
            future, task = call.future, call.task
            if future.done() or task is None:
                continue
            if task.cancelled():
                future.cancel()
            elif (error := task.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())

    # In the other loop

    def _make(self, calls: Sequence[_Call]) -> None:
        for call in calls:
            call.task = self._there.create_task(_performed(call.action), context=call.context)
            call.task.add_done_callback(partial(self._end, call))

    def _end(self, call: _Call, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            # Somebody who has gone doesn't look at it.
            task.exception()
        if not self._ended:
            self._there.call_soon(self._answer)
        self._ended.append(call)

    def _answer(self) -> None:
        ended, self._ended = self._ended, []
        # The callers' loop was closed: nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._deliver, ended)


async def _performed(action: Callable[[], Awaitable[T]]) -> T:
    return await action()
