"""Back-pressure: how many calls are held at once, and the line of those who wait for a place."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """So many places; who finds none waits in line, first come first served.

    What ``asyncio.Semaphore`` does, but a free place costs no coroutine.
    """

    __slots__ = ("_left", "line", "places")

    def __init__(self, places: int) -> None:
        self.places = places
        self._left = places
        self.line: deque[tuple[asyncio.Future[None], float]] = deque()

    def take(self) -> bool:
        """Take a place if one is free; then nobody is in line."""
        if not self._left:
            return False
        self._left -= 1
        return True

    async def wait(self, deadline: float) -> None:
        """Take the next place that is given back and not somebody's before us.

        Who looks after the line lets those fail whose ``deadline`` has come.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append((turn, deadline))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                # It was our turn already.
                self.give()
            raise

    def give(self, places: int = 1) -> None:
        """Give places back, to the first in line if there are any."""
        while places and self.line:
            turn, _ = self.line.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1
        self._left += places
