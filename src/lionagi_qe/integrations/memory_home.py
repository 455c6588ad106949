"""Where an adapter's memory lives: on the caller's event loop, or on a thread of the adapter's own.

Frameworks call from threads without an event loop and from several loops; a memory serves one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence import Memory, open_memory
from lionagi_qe.persistence.memory_thread import MemoryThread, perform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from types import TracebackType
    from typing import Self, Unpack

    from lionagi_qe.persistence.memory import MemorySettings
    from lionagi_qe.persistence.memory_thread import MemoryHome

T = TypeVar("T")


class CallersMemory:
    """A memory that stays the caller's to close, on the loop that first used it through us."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to; for threads other than the memory's own."""
        loop, here = self._loop, _running_loop()
        if here is not None and loop in {None, here}:
            raise InvalidArgumentError(
                "a sync call on the event loop of this memory would wait for itself; use the "
                'methods that begin with "a" (aget, aput, ...), or make this from a URL'
            )
        if loop is None:
            raise InvalidArgumentError(
                "what was made from a Memory must be used once on that memory's event loop before "
                "other threads can; or make it from a URL"
            )
        return asyncio.run_coroutine_threadsafe(perform(action, self._memory), loop).result()

    async def run_async(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to, on the memory's loop."""
        here = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = here
        if self._loop is here:
            return await action(self._memory)
        performing = asyncio.run_coroutine_threadsafe(perform(action, self._memory), self._loop)
        return await asyncio.wrap_future(performing)

    def close(self) -> None:
        """Do nothing: the memory is the caller's."""


class MemoryAdapter:
    """What adapters to other frameworks share: opening and closing the memory they stand on.

    Args:
        memory: a Memory, which stays the caller's to close, or a URL (see ``open_memory``).
        settings: of the memory that a URL names; see Memory.
    """

    _opening: asyncio.Future[None] | None = None

    def __init__(self, memory: Memory | str, **settings: Unpack[MemorySettings]) -> None:
        self._home = home_of(memory, **settings)

    @classmethod
    def from_conn_string(cls, conn_string: str, **settings: Any) -> Self:  # noqa: ANN401
        """Return one on the memory that a URL names; use it ``with`` or ``async with``."""
        return cls(conn_string, **settings)

    def setup(self) -> Awaitable[None]:
        """Open the memory, and make its schema if that isn't there; else the first call does.

        Await it in a coroutine; elsewhere the memory is open when this returns.
        """
        begun = now_or_awaited(lambda: self._home.run(_open), lambda: self._home.run_async(_open))
        self._opening = begun if isinstance(begun, asyncio.Future) else None
        return begun

    def close(self) -> Awaitable[None]:
        """Close the memory, if this was made from a URL.

        Await it in a coroutine; elsewhere the memory is closed when this returns.
        """
        return now_or_awaited(self._end, lambda: asyncio.to_thread(self._end))

    def _end(self) -> None:
        self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opening is not None and is_on_loop():
            # Of sync calls in a notebook, whose loop runs: nobody awaits what setup returned.
            self._opening.cancel()
        self._end()

    async def __aenter__(self) -> Self:
        await self._home.run_async(_open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._end)


class _Done(Generic[T]):
    """Awaits nothing: what it stands for was done."""

    def __init__(self, result: T) -> None:
        self._result = result

    def __await__(self) -> Generator[None, None, T]:
        yield from ()
        return self._result


def now_or_awaited(
    now: Callable[[], T], awaited: Callable[[], Coroutine[Any, Any, T]]
) -> Awaitable[T]:
    """Do something at once where no event loop runs; on a loop return what is to be awaited."""
    # People come from classes whose setup() is sync, and from others whose setup() is awaited.
    if is_on_loop():
        return asyncio.ensure_future(awaited())
    return _Done(now())


def is_on_loop() -> bool:
    """Return whether this thread runs an event loop at this moment."""
    return _running_loop() is not None


async def _open(memory: Memory) -> None:
    await memory.open()


def home_of(memory: Memory | str, **settings: Unpack[MemorySettings]) -> MemoryHome:
    """Return the home of a memory, or of the one that a URL names, with these settings."""
    if isinstance(memory, Memory):
        if settings:
            given = ", ".join(sorted(settings))
            raise InvalidArgumentError(
                f"{given}: is for what is made from a URL; a Memory has its settings already"
            )
        return CallersMemory(memory)
    # Callers of other frameworks are often untyped.
    if isinstance(memory, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        # What is wrong with a URL or a setting is told where it is written.
        open_memory(memory, **settings)
        return MemoryThread(lambda: open_memory(memory, **settings))
    raise InvalidArgumentError(
        f"memory {memory!r}: give a Memory or its URL, for example sqlite:///memory.db"
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
