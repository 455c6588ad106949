"""A memory that lives on an event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lionagi_qe.errors import InvalidArgumentError, MemoryClosedError
from lionagi_qe.persistence.loop_crossing import CLOSED, LoopCrossing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    from lionagi_qe.persistence.memory import Memory

T = TypeVar("T")


class MemoryHome(Protocol):
    """Runs what needs the memory, for callers of any thread and loop."""

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to, waiting for it in this thread."""
        ...

    def run_async(self, action: Callable[[Memory], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """Return what ``action(memory)`` comes to."""
        ...

    def close(self) -> None:
        """Close what was opened here."""
        ...


class MemoryThread:
    """Runs calls of a memory for any thread and any event loop.

    The memory is made, and the thread started, by the first call. A process that was forked gets a
    memory and a thread of its own by its first call; the connections of its parent are left alone.
    What is still open when the interpreter ends is closed then.

    Args:
        make: returns the memory, not opened yet; called once in each process.
        name: of the thread.
    """

    def __init__(self, make: Callable[[], Memory], name: str = "aqe-memory") -> None:
        self._make = make
        self._name = name
        self._starting = threading.Lock()
        self._home: _Home | None = None
        self._closed = False
        _THREADS.add(self)

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to, waiting for it in this thread.

        Raises:
            InvalidArgumentError: called from the memory's own thread, which would wait for itself.
            MemoryClosedError: it was closed.

        """
        return self._started().run(action)

    async def run_async(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to, without blocking the caller's event loop."""
        home = self._started()
        if home.is_here():
            return await action(home.memory)
        return await home.crossing.call(lambda: action(home.memory))

    @property
    def memory(self) -> Memory:
        """The memory, for what is neither a coroutine nor bound to its loop."""
        return self._started().memory

    def close(self) -> None:
        """Let the calls under way end, close the memory, end the thread. May be called twice."""
        with self._starting:
            self._closed = True
            home, self._home = self._home, None
        if home is not None and home.is_ours():
            home.close()

    def _started(self) -> _Home:
        home = self._home
        if home is not None and home.is_ours():
            return home
        with self._starting:
            if self._closed:
                raise MemoryClosedError(CLOSED)
            if self._home is not None and not self._home.is_ours():
                # Of the parent, whose connections are not ours: _HOMES keeps them from collection.
                self._home = None
            if self._home is None:
                self._home = _Home(self._make(), self._name)
            return self._home

    def _forked(self) -> None:
        # Another thread of the parent may have held it.
        self._starting = threading.Lock()


class ScopedThread:
    """Runs calls of a part of a memory where the memory's own run; see ``Memory.scoped``.

    Args:
        whole: runs the memory's calls.
        part: returns the part of a memory; called once in each process.
    """

    def __init__(
        self, whole: MemoryThread | ScopedThread, part: Callable[[Memory], Memory]
    ) -> None:
        self._whole = whole
        self._part = part
        self._made: tuple[Memory, Memory] | None = None

    def _of(self, memory: Memory) -> Memory:
        if self._made is None or self._made[0] is not memory:
            self._made = memory, self._part(memory)
        return self._made[1]

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(part)`` comes to, waiting for it in this thread."""
        return self._whole.run(lambda memory: action(self._of(memory)))

    async def run_async(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(part)`` comes to, without blocking the caller's event loop."""
        return await self._whole.run_async(lambda memory: action(self._of(memory)))

    @property
    def memory(self) -> Memory:
        """The part, for what is neither a coroutine nor bound to its loop."""
        return self._of(self._whole.memory)

    def close(self) -> None:
        """End the part; the memory stays open."""
        self.run(lambda part: part.close())


class _Home:
    """One process's memory, its loop and its thread."""

    def __init__(self, memory: Memory, name: str) -> None:
        self.memory = memory
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self.crossing = LoopCrossing(self._loop)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        _HOMES.add(self)

    def is_ours(self) -> bool:
        return self._process == os.getpid()

    def is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def submit(self, action: Callable[[Memory], Awaitable[T]]) -> Any:  # noqa: ANN401 - a Future
        return asyncio.run_coroutine_threadsafe(perform(action, self.memory), self._loop)

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        if self.is_here():
            raise InvalidArgumentError(
                "a sync call from the memory's own thread would wait for itself; inside what runs "
                "there, await the memory that it is given"
            )
        answer = self.submit(action)
        try:
            return answer.result()
        except CancelledError:
            raise MemoryClosedError(CLOSED) from None
        except BaseException:
            # Of an interrupted wait (Ctrl-C, a time limit by signal): nobody wants it any more.
            answer.cancel()
            raise

    def close(self) -> None:
        try:
            self.run(lambda memory: memory.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            _HOMES.discard(self)

    def _serve(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_forever()
            self._loop.run_until_complete(_end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())


async def _end_tasks() -> None:
    """Cancel what still runs on this loop: whoever waits for it is told of the closing."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


_END: Any = object()
_THREADS: weakref.WeakSet[MemoryThread] = weakref.WeakSet()
_HOMES: set[_Home] = set()


def iterate(
    home: MemoryHome, action: Callable[[Memory], AsyncGenerator[T]]
) -> Generator[T, None, None]:
    """Yield what ``action(memory)`` yields, waiting for it in this thread."""
    items = home.run(_begin(action))
    try:
        while (item := home.run(lambda _: anext(items, _END))) is not _END:
            yield item
    finally:
        with contextlib.suppress(MemoryClosedError):
            home.run(lambda _: items.aclose())


async def iterate_async(
    home: MemoryHome, action: Callable[[Memory], AsyncGenerator[T]]
) -> AsyncGenerator[T]:
    """Yield what ``action(memory)`` yields."""
    items = await home.run_async(_begin(action))
    try:
        while (item := await home.run_async(lambda _: anext(items, _END))) is not _END:
            yield item
    finally:
        with contextlib.suppress(MemoryClosedError):
            await home.run_async(lambda _: items.aclose())


def _begin(
    action: Callable[[Memory], AsyncGenerator[T]],
) -> Callable[[Memory], Awaitable[AsyncGenerator[T]]]:
    async def begin(memory: Memory) -> AsyncGenerator[T]:
        return action(memory)

    return begin


async def perform(action: Callable[[Memory], Awaitable[T]], memory: Memory) -> T:
    """Return what ``action(memory)`` comes to, as the coroutine that a loop's thread is given."""
    return await action(memory)


@atexit.register
def _close_all() -> None:
    with contextlib.ExitStack() as closing:
        for home in [home for home in _HOMES if home.is_ours()]:
            closing.callback(home.close)


def _after_fork() -> None:
    for thread in list(_THREADS):
        thread._forked()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
