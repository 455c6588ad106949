"""A pool of connections, whatever the driver."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from lionagi_qe.errors import MemoryClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

C = TypeVar("C")


class Pool(Generic[C]):
    """At most ``size`` connections to one server, made when they are needed.

    The drivers' own pools release connections by an await, in which a second cancellation could
    lose them and which costs more than the rest of a call; here a release can't fail, nor wait.

    Args:
        connect: opens a connection; raises what the driver raises.
        is_closed: whether a connection can carry no further call.
        drop: closes one, without waiting for the server.
        size: how many at once.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[C]],
        *,
        is_closed: Callable[[C], bool],
        drop: Callable[[C], Awaitable[None]],
        size: int,
    ) -> None:
        self.connect = connect
        self._is_closed = is_closed
        self._drop = drop
        # What each caller takes: an idle connection, or None, the right to open one. The last is
        # taken first, so that few connections are used while few are needed.
        self._size = size
        self._places: list[C | None] = [None for _ in range(size)]
        self._waiters: deque[asyncio.Future[C | None]] = deque()
        self._closed = False

    def figures(self) -> dict[str, int]:
        """Return how many connections there are, being opened or open, and who waits for one."""
        idle = sum(place is not None for place in self._places)
        return {
            "connections": self._size - len(self._places) + idle,
            "idle": idle,
            "limit": self._size,
            "waiting": sum(not turn.done() for turn in self._waiters),
        }

    async def acquire(self) -> C:
        """Wait for a connection that is ready for a call; MemoryClosedError once it is closed."""
        connection = self._places.pop() if self._places else await self._next_place()
        try:
            if connection is not None:
                if not self._closed and not self._is_closed(connection):
                    return connection
                await self._drop(connection)
            if self._closed:
                msg = "the memory was closed before this call was sent; nothing was changed"
                raise MemoryClosedError(msg)  # noqa: TRY301 - what the handler is for
            return await self.connect()
        except BaseException:
            self._give(None)
            raise

    async def _next_place(self) -> C | None:
        turn: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was our turn already.
                self._give(turn.result())
            raise

    def _give(self, place: C | None) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(place)
                return
        self._places.insert(0 if place is None else len(self._places), place)

    def release(self, connection: C) -> Awaitable[None] | None:
        """Take a connection back, also a broken one, which is used no more.

        Once the pool is closed, await what it returns: the connection is dropped.
        """
        if self._closed:
            self._give(None)
            return self._drop(connection)
        if self._waiters:
            self._give(connection)
        else:
            self._places.append(connection)
        return None

    async def close(self) -> None:
        """Close the idle connections, and the others when they are released."""
        self._closed = True
        places = self._places
        self._places = [None for _ in places]
        for connection in places:
            if connection is not None:
                await self._drop(connection)
