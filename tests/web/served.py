"""A console that listens on a free port of this machine, in the running event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lionagi_qe.web.serving import Settings, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.persistence import Memory

TOKEN = "a-token-for-tests-alone"


@asynccontextmanager
async def served(memory: Memory, **settings: Any) -> AsyncGenerator[str]:
    """Serve a memory, and yield the console's address."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    end = asyncio.Event()
    console = Settings(port=0, token=TOKEN, **settings)
    serving = asyncio.create_task(serve(memory, console, address.set_result, end))
    await asyncio.wait([address, serving], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield await address
    finally:
        end.set()
        await serving
