"""Sends commands by the driver's connections, whatever asyncio says of those that were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis import exceptions

if TYPE_CHECKING:
    from redis import asyncio as driver

# What asyncio of Python 3.12, and of 3.13 until 2025, raises where several pieces are written to a
# transport whose connection was lost: https://github.com/python/cpython/issues/136234
_OF_LOST = (AttributeError, TypeError)
_LOST = "the connection was lost"


async def send(connection: driver.Connection, packed: bytes) -> None:
    """Send packed commands.

    Raises:
        ConnectionError: the driver's; the connection was lost meanwhile.

    """
    try:
        await connection.send_packed_command([packed])
    except _OF_LOST as error:
        raise exceptions.ConnectionError(_LOST) from error


async def send_by_cluster(client: driver.RedisCluster, *words: Any, **options: Any) -> Any:  # noqa: ANN401 - the driver's own
    """Have the driver send a command by its own connections; return the answer.

    Raises:
        ConnectionError: the driver's; the connection was lost meanwhile.

    """
    try:
        return await client.execute_command(*words, **options)
    except _OF_LOST as error:
        raise exceptions.ConnectionError(_LOST) from error
