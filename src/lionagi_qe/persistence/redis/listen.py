"""A connection that listens to channels, made anew when it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.redis.sending import telling_loss
from lionagi_qe.persistence.redis.server_errors import FAILURES

if TYPE_CHECKING:
    import redis.asyncio as driver

    from lionagi_qe.persistence.contract.notifier import Notifier
    from lionagi_qe.persistence.redis.connection import Link

_PAUSE = 0.5


class Listener:
    """Notifies for each message; a lost connection is made again on the next call."""

    def __init__(self, link: Link, notifier: Notifier) -> None:
        self._link = link
        self._notifier = notifier
        self._names: dict[bytes, str] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._connection: driver.Connection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lock: asyncio.Lock | None = None
        self._retry_at = 0.0

    async def listen(self, channel: str, name: str) -> bool:
        """Ring ``name`` for each message of a channel; False if that can't be right now."""
        known = channel.encode()
        confirmed = self._confirmed.get(known)
        if confirmed is not None and confirmed.is_set():
            return True
        self._names[known] = name
        if self._lock is None:
            self._lock = asyncio.Lock()
        try:
            async with self._lock:
                return await self._subscribe(known)
        except FAILURES:
            # Then we poll; the calls that poll tell what is wrong with the server.
            self._drop()
            return False

    async def _subscribe(self, channel: bytes) -> bool:
        loop = asyncio.get_running_loop()
        if self._connection is None:
            if loop.time() < self._retry_at:
                return False
            self._retry_at = loop.time() + _PAUSE
            self._connection = await self._link.connect()
            self._reading = asyncio.create_task(self._read(self._connection), name="listen")
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            confirmed = self._confirmed[channel] = asyncio.Event()
            await telling_loss(self._connection.send_command("SUBSCRIBE", channel))
        await confirmed.wait()
        # Set too when the connection was lost before the answer came.
        return self._confirmed.get(channel) is confirmed

    async def _read(self, connection: driver.Connection) -> None:
        try:
            while True:
                answer: Any = await connection.read_response()
                kind, channel, *_ = answer
                if kind == b"message":
                    self._notifier.notify(self._names[channel])
                elif kind == b"subscribe":
                    self._confirmed[channel].set()
        except FAILURES:
            self._drop()
        finally:
            await connection.disconnect(nowait=True)

    def _drop(self) -> None:
        """Forget the connection; whoever waits looks for himself, since messages may be missed."""
        self._connection = None
        confirmed, self._confirmed = self._confirmed, {}
        for event in confirmed.values():
            event.set()
        self._notifier.notify_all()

    async def close(self) -> None:
        """Drop the connection."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
        self._drop()
