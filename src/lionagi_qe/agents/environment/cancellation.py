"""What has to be done to its end, whoever is cancelled meanwhile, and how often."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns; a cancellation is raised once that has ended.

    Cancelled again, this waits on: so ``work`` must have an end of its own. What it raises goes
    before the cancellation, which stays its context: it tells what was left undone.

    Raises:
        asyncio.CancelledError: whoever waits was cancelled meanwhile.

    """
    working = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return working.result()
    try:
        raise cancelled
    finally:
        working.result()
