"""What the driver sends, whatever asyncio says of a connection that was lost meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from redis import exceptions

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

# What asyncio of Python 3.12, and of 3.13 until 2025, raises where several pieces are written to a
# transport whose connection was lost: https://github.com/python/cpython/issues/136234
_OF_LOST = (AttributeError, TypeError)


async def telling_loss(sending: Awaitable[T]) -> T:
    """Await what the driver sends, and return what it returns.

    Raises:
        ConnectionError: the driver's; the connection was lost meanwhile.

    """
    try:
        return await sending
    except _OF_LOST as error:
        raise exceptions.ConnectionError("the connection was lost") from error
