"""Many calls in as many coroutines as the measurements have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

COROUTINES = 64


async def spread(calls: Iterable[int], call: Callable[[int], Awaitable[object]]) -> None:
    """Make calls in 64 coroutines."""
    left = iter(calls)

    async def work() -> None:
        for each in left:
            await call(each)

    await asyncio.gather(*(work() for _ in range(COROUTINES)))
