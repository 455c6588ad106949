"""Making calls of a batcher, for tests that look at what flies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lionagi_qe.persistence.scheduling.batch import Channel
    from lionagi_qe.persistence.scheduling.batcher import Batcher


def soon(seconds: float = 5.0) -> float:
    """Return the time of the loop so many seconds from now."""
    return asyncio.get_running_loop().time() + seconds


async def call(
    batcher: Batcher, channel: Channel, item: Any, key: str, seconds: float = 5.0
) -> Any:
    """Send an item as a memory does, and wait for its result."""
    await batcher.admit(soon(seconds))
    return await batcher.submit(channel, item, key, soon(seconds))


async def settle() -> None:
    """Let the loop do what is due now."""
    for _ in range(10):
        await asyncio.sleep(0)
