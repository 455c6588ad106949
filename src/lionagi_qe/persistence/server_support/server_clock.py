"""A server's clock as seen from here: read now and then, carried on in between by this host's."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_AGE_SECONDS = 60.0
# The error is at most half of a reading's round trip, so slow ones are done again a few times.
_READINGS = 5
_GOOD_SECONDS = 0.05


class ServerClock:
    """The time that a server shows.

    Args:
        read: asks the server for its time in ms since 1970; one round trip.
    """

    def __init__(self, read: Callable[[], Awaitable[int]]) -> None:
        self._read = read
        self._offset_ms = 0.0
        self._read_at = -math.inf

    async def now(self) -> float:
        """Return the server's time in ms since 1970; asks it about once a minute."""
        if asyncio.get_running_loop().time() - self._read_at >= _AGE_SECONDS:
            await self._set()
        return self.estimate()

    def estimate(self) -> float:
        """Return it without asking, by what was read last."""
        return self._offset_ms + asyncio.get_running_loop().time() * 1000

    async def _set(self) -> None:
        loop = asyncio.get_running_loop()
        quickest = math.inf
        for _ in range(_READINGS):
            before = loop.time()
            moment = await self._read()
            after = loop.time()
            if after - before < quickest:
                quickest = after - before
                self._offset_ms = moment - (before + after) / 2 * 1000
            if quickest <= _GOOD_SECONDS:
                break
        self._read_at = loop.time()
