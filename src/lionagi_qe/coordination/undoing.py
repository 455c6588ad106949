"""Calls that give us something which nobody would look after if we were cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")


async def or_undo(call: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
    """Return what the call returns; whoever is cancelled meanwhile undoes it and stays cancelled.

    The server may have carried the call out although its answer was not waited for: so it is,
    until it has ended, by its own time limit.
    """
    calling = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait([calling])
        # A call that failed gave us nothing, or what ends by itself.
        if not calling.cancelled() and calling.exception() is None:
            await undo(calling.result())
        raise
