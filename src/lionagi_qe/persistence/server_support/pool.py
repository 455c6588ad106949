"""A pool of connections, whatever the driver."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from lionagi_qe.errors import MemoryClosedError
from lionagi_qe.persistence.server_support.limiter import Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

C = TypeVar("C")


class Pool(Generic[C]):
    """At most ``size`` connections to one server, made when they are needed.

    The drivers' own pools give connections back by an await, in which a second cancellation could
    lose them and which costs more than the rest of a call; here giving back can't fail, nor wait.

    Args:
        connect: opens a connection; raises what the driver raises.
        is_fit: whether a connection can carry the next call.
        drop: closes one, without waiting for the server.
        size: how many at once.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[C]],
        *,
        is_fit: Callable[[C], bool],
        drop: Callable[[C], Awaitable[None]],
        size: int,
    ) -> None:
        self.connect = connect
        self._is_fit = is_fit
        self._drop = drop
        self._room = Room(size)
        self._idle: list[C] = []
        self._closed = False

    async def take(self) -> C:
        """Wait for a connection that is ready for a call; MemoryClosedError once it is closed."""
        if not self._room.take():
            await self._room.wait(math.inf)
        try:
            if self._closed:
                msg = "the memory was closed before this call was sent; nothing was changed"
                raise MemoryClosedError(msg)  # noqa: TRY301 - what the handler is for
            while self._idle:
                connection = self._idle.pop()
                if self._is_fit(connection):
                    return connection
                await self._drop(connection)
            return await self.connect()
        except BaseException:
            self._room.give()
            raise

    def give(self, connection: C) -> Awaitable[None] | None:
        """Take a connection back, also a broken one, which nobody is lent any more.

        Once the pool is closed, await what it returns: the connection is dropped.
        """
        self._room.give()
        if self._closed:
            return self._drop(connection)
        self._idle.append(connection)
        return None

    async def close(self) -> None:
        """Close the idle connections, and the others when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._drop(connection)
