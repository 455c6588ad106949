"""Print which of our files and functions a lone store passes: ``trace_store.py [URL]``.

Without a URL, on a throw-away PostgreSQL server. The call is traced after another has opened the
connection; the driver's and Python's own functions are left out.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lionagi_qe
from lionagi_qe.persistence import open_memory
from lionagi_qe.testing.servers import PostgresServer

if TYPE_CHECKING:
    from types import FrameType

PACKAGE = Path(lionagi_qe.__file__).parent


async def trace(url: str) -> list[tuple[str, str]]:
    """Return the file and the name of each of our functions that one store calls, in order."""
    called: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            name = str(path.relative_to(PACKAGE))
            # A coroutine that goes on is no new call.
            if frame not in seen:
                called.append((name, frame.f_code.co_qualname))
                seen.add(frame)

    seen: set[FrameType] = set()
    async with open_memory(url) as memory:
        await memory.store("aqe/traced", {"value": 1})
        sys.setprofile(note)
        try:
            await memory.store("aqe/traced", {"value": 2})
        finally:
            sys.setprofile(None)
    return called


def changes_of_file(called: list[tuple[str, str]]) -> int:
    """Return how often the next function is in another file than the one before it."""
    return sum(before[0] != after[0] for before, after in pairwise(called))


def main() -> None:
    """Trace, and print."""
    if len(sys.argv) > 1:
        called = asyncio.run(trace(sys.argv[1]))
    else:
        with PostgresServer() as server:
            called = asyncio.run(trace(server.url))
    for file, name in called:
        print(f"{file:48} {name}")
    files = {file for file, _ in called}
    print(f"{len(files)} files, {len(called)} functions, {changes_of_file(called)} changes of file")


if __name__ == "__main__":
    main()
