"""Calls that give us something which nobody would look after if we were cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

T = TypeVar("T")

_under_way: set[asyncio.Task[None]] = set()


async def or_undo(call: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
    """Return what the call returns; whoever is cancelled meanwhile undoes it and stays cancelled.

    The server may have carried the call out although its answer was not waited for: so it is,
    until it has ended, by its own time limit.
    """
    calling = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        undoing = asyncio.create_task(_undo(calling, undo))
        _under_way.add(undoing)
        undoing.add_done_callback(_under_way.discard)
        # Whoever is cancelled once more leaves it to itself.
        await asyncio.wait([undoing])
        raise


async def _undo(calling: asyncio.Future[T], undo: Callable[[T], Awaitable[object]]) -> None:
    await asyncio.wait([calling])
    # A call that failed gave us nothing, or what ends by itself.
    if not calling.cancelled() and calling.exception() is None:
        await undo(calling.result())
