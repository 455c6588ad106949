"""Fills a small disk of its own through a memory, and goes on when there is room again.

``full_disk.py FOLDER sqlite|postgresql``, in a mount namespace: FOLDER becomes a disk in memory.
Prints what each call came to, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.testing.servers import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from lionagi_qe import Memory

MEBIBYTES = 20
# Of these nothing can be stored in less room.
VALUE = os.urandom(300_000).hex()


def mount(folder: str, mebibytes: int, *options: str) -> None:
    size = ",".join([*options, f"size={mebibytes}m", "mode=1777"])
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)


@contextlib.contextmanager
def url_of(folder: str, backend: str) -> Iterator[str]:
    if backend == "sqlite":
        yield f"sqlite:///{folder}/memory.db"
        return
    # The tables alone: where its log finds no room PostgreSQL ends, and there is nothing to read.
    with PostgresServer() as server:
        server.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        server.execute("ALTER DATABASE postgres SET default_tablespace = small")
        yield server.url


async def came_to(call: Awaitable[Any]) -> str:
    try:
        await call
    except errors.AqeError as error:
        return f"{type(error).__name__} {getattr(error, 'outcome', None)}"
    return "done"


async def fill(memory: Memory, prefix: str) -> tuple[int, str]:
    """Store until that is refused; return how many were stored, and how it was."""
    for number in range(10_000):
        # The last one is refused again and again all that time; on a busy machine one takes long.
        told = await came_to(memory.store(f"{prefix}/{number:05}", VALUE, timeout=6))
        if told != "done":
            return number, told
    raise AssertionError("the disk was never full")


async def main(folder: str, backend: str) -> dict[str, Any]:
    mount(folder, MEBIBYTES)
    with url_of(folder, backend) as url:
        async with open_memory(url, timeout=3, cleanup_interval=None) as memory:
            queue = WorkQueue(memory, "full")
            await queue.put("before")
            stored, refused = await fill(memory, "aqe/filled")
            told = {
                "refused": refused,
                "again": await came_to(memory.store("aqe/filled/more", VALUE)),
                "read": await came_to(memory.retrieve("aqe/filled/00001")),
                "listed": len(await memory.list_keys("aqe/filled/")) - stored,
                "batch": await came_to(
                    memory.store_many({f"aqe/b/{at}": VALUE for at in range(9)})
                ),
                "removed": await came_to(memory.clear_partition("default")),
            }
            mount(folder, 3 * MEBIBYTES, "remount")
            assert await came_to(memory.store("aqe/after", 1, timeout=60)) == "done"
            cleared = told["removed"] == "done"
            kept = await memory.list_keys("aqe/filled/")
            (job,) = await queue.claim(lease_ttl=60)
            await job.ack()
            return told | {
                "lost": 0 if cleared else stored - len(kept),
                "halves": len(await memory.list_keys("aqe/b/")),
                "job": job.payload,
                "removed after": await came_to(memory.clear_partition("default")),
            }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
