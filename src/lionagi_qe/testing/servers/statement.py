"""One SQL statement from code that may or may not run inside an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import asyncpg

_TIMEOUT = 30


def execute(url: str, statement: str) -> str:
    """Run a statement at ``url`` in a thread of its own; return its result's first field."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _execute(url, statement)).result()


async def _execute(url: str, statement: str) -> str:
    connection = await asyncpg.connect(url, timeout=_TIMEOUT)
    try:
        return str(await connection.fetchval(statement, timeout=_TIMEOUT))
    finally:
        await connection.close()
