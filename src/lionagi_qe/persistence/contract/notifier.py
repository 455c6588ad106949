"""Wakes those of this process who wait for something that is named."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Notifier:
    """Counts the notifications of each name: none between looking and waiting is missed."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @property
    def awaited(self) -> list[str]:
        """The names that somebody waits for."""
        return [name for name, waiting in self._waiting.items() if waiting]

    def count(self, name: str) -> int:
        """Return how often ``name`` was notified: to be taken before looking, for ``wait``."""
        return self._counts[name]

    def notify(self, name: str) -> None:
        """Wake all who wait for ``name``."""
        self._counts[name] += 1
        for waiter in self._waiting.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    def notify_all(self) -> None:
        """Wake everybody: notifications may have been missed."""
        for name in list(self._counts):
            self.notify(name)

    async def wait(self, name: str, since: int, seconds: float) -> bool:
        """Wait ``seconds`` at most until there are more than ``since``; tell whether."""
        if self._counts[name] != since or seconds <= 0:
            return self._counts[name] != since
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[name]
        waiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            waiting.discard(waiter)
        return self._counts[name] != since
