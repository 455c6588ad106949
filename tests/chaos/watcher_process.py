"""Watches a fleet and logs each change as a line; ``python watcher_process.py URL FLEET LOG``.

The log is also where it goes on after it was killed: behind the last whole line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lionagi_qe import open_memory


def read_log(path: Path) -> list[dict[str, object]]:
    """Return the log's lines but for a last one that is cut short, which is removed."""
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with path.open("r+b") as log:
            log.truncate(whole)
    return [json.loads(line) for line in text[:whole].splitlines()]


async def main(url: str, fleet: str, path: Path) -> None:
    lines = read_log(path)
    since = str(lines[-1]["cursor"]) if lines else None
    async with open_memory(url, fleet=fleet, cleanup_interval=None, timeout=2) as memory:
        with path.open("ab", buffering=0) as log:
            async with memory.watch("aqe/k/*", since, poll=0.05) as watch:
                print("watching", flush=True)
                async for change in watch:
                    line = {
                        "key": change.key,
                        "kind": change.kind,
                        "revision": change.revision,
                        "value": change.value,
                        "cursor": change.cursor,
                    }
                    log.write(json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
