"""A connection that listens for notifications, made anew when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg

from lionagi_qe.persistence.postgres import connection as link
from lionagi_qe.persistence.postgres.hosts import Hosts
from lionagi_qe.persistence.postgres.server_errors import LOST

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.notifier import Notifier

_PAUSE = 0.5


class Listener:
    """Notifies for each notification; a lost connection is made again on the next call."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._connection: Any = None
        self._opening: asyncio.Lock | None = None
        self._retry_at = 0.0

    async def listen(self, dsn: str, channel: str) -> bool:
        """Listen to the channel, whose messages are names; False if that can't be right now."""
        if self._connection is not None and not self._connection.is_closed():
            return True
        if self._opening is None:
            self._opening = asyncio.Lock()
        loop = asyncio.get_running_loop()
        async with self._opening:
            if self._connection is not None and not self._connection.is_closed():
                return True
            if loop.time() < self._retry_at:
                return False
            self._retry_at = loop.time() + _PAUSE
            try:
                self._connection = await self._open(dsn, channel)
            except (asyncpg.PostgresError, *LOST):
                # Then we poll; the calls that poll tell what is wrong with the server.
                return False
            return True

    async def _open(self, dsn: str, channel: str) -> Any:  # noqa: ANN401 - the driver's own
        connection = await link.connect(Hosts(dsn))
        try:
            connection.add_termination_listener(self._lost)
            await connection.add_listener(channel, self._notified)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _notified(self, _connection: Any, _pid: int, _channel: str, name: str) -> None:  # noqa: ANN401
        self._notifier.notify(name)

    def _lost(self, _connection: Any) -> None:  # noqa: ANN401 - the driver's own
        self._notifier.notify_all()

    async def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
