"""One SQL statement from code that may or may not run inside an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from lionagi_qe.persistence.postgres.connection import address
from lionagi_qe.persistence.postgres.server_errors import explain

_TIMEOUT = 30


def execute(url: str, statement: str) -> str:
    """Run a statement at ``url`` in a thread of its own; return its result's first field.

    Raises:
        AccessDeniedError, BackendUnavailableError, ...: as PostgresMemory raises them.

    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _execute(url, statement)).result()


async def _execute(url: str, statement: str) -> str:
    try:
        connection = await asyncpg.connect(url, timeout=_TIMEOUT)
        try:
            return str(await connection.fetchval(statement, timeout=_TIMEOUT))
        finally:
            await connection.close()
    except (asyncpg.PostgresError, OSError) as error:
        raise explain(error, address(url), sent=False) from error
