"""Back-pressure: how many calls are under way at once, and the queue of those that wait."""

from __future__ import annotations

import asyncio
from collections import deque


class Limiter:
    """At most ``limit`` at once; who comes when all places are taken waits, in order.

    What ``asyncio.Semaphore`` does, but a free place costs neither a coroutine nor a call: who
    finds one takes it by ``limiter.free -= 1``.

    Attributes:
        limit: how many places there are.
        free: how many can be taken at once; while there are any, nobody waits.
        waiters: the futures of those who wait, each with its deadline in the loop's time (infinity:
            none); whoever looks after them lets those fail whose deadline has come.
    """

    __slots__ = ("free", "limit", "waiters")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self.waiters: deque[tuple[asyncio.Future[None], float]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(not turn.done() for turn, _ in self.waiters)

    async def wait(self, deadline: float) -> None:
        """Take the next place that is given back and no earlier waiter's."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append((turn, deadline))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                # It was our turn already.
                self.release()
            raise

    def release(self, places: int = 1) -> None:
        """Give places back, to the first waiters if there are any."""
        while places and self.waiters:
            turn, _ = self.waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1
        self.free += places
