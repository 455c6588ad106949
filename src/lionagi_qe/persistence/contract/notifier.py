"""Wakes those of this process who wait for something that is named."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Bell:
    """Counts the rings of each name, so that none between looking and waiting is missed."""

    def __init__(self) -> None:
        self._rings: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @property
    def awaited(self) -> list[str]:
        """The names that somebody waits for."""
        return [name for name, waiting in self._waiting.items() if waiting]

    def rings(self, name: str) -> int:
        """Return how often it has rung for ``name``: take it before looking, to wait after that."""
        return self._rings[name]

    def ring(self, name: str) -> None:
        """Wake all who wait for ``name``."""
        self._rings[name] += 1
        for waiter in self._waiting.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    def ring_all(self) -> None:
        """Wake everybody: rings may have been missed."""
        for name in list(self._rings):
            self.ring(name)

    async def wait(self, name: str, since: int, seconds: float) -> bool:
        """Wait for a ring after the ``since``-th, ``seconds`` at most; return whether there was."""
        if self._rings[name] != since or seconds <= 0:
            return self._rings[name] != since
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[name]
        waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            waiting.discard(waiter)
        return self._rings[name] != since
