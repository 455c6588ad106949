"""A client of a chaos run that watches, and records what it is told.

Run as ``python -m tests.chaos.recorded_watch CONFIGURATION`` (JSON, see ``Watcher``). A line of
JSON on its standard input names the revisions that it has to see: then it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.client_process import (
    TIMEOUT,
    commands,
    note_what_is_left,
    waiting_of_thread,
    watch_stalls,
)

from lionagi_qe import Memory, WatchTooOldError, open_memory
from lionagi_qe.testing.history import Recorder

if TYPE_CHECKING:
    from lionagi_qe.persistence.watch import Watch

WATCH = "all"
PREFIX = "aqe/"
# Changes of all shards, behind all others: what has not come by then is missed. Seconds without
# those in which the watcher had to wait for a processor, and with them.
_PATIENCE, MOST_PATIENCE = 60.0, 240.0


@dataclass(frozen=True)
class Watcher:
    """How a watcher is configured; ``since`` is where the one before it was."""

    url: str
    fleet: str
    process: str
    file: str
    since: str | None


class Following:
    """A watch that goes on whatever happens, until it has seen all that it should."""

    def __init__(self, memory: Memory, recorder: Recorder, since: str | None) -> None:
        self._memory = memory
        self._record = recorder
        self._since = since
        self._newest: dict[str, int] = {}
        self._wanted: dict[str, int] | None = None
        self.complete = asyncio.Event()

    async def follow(self) -> None:
        while True:
            watch = self._memory.watch(f"{PREFIX}*", self._since, poll=0.05)
            opened = await self._record.call(
                "watch", {"watch": WATCH, "prefix": PREFIX}, watch.open(), tell=_cursor
            )
            if opened.outcome == "ok":
                await self._read(watch)

    async def _read(self, watch: Watch) -> None:
        async with watch:
            self._since = watch.cursor
            try:
                async for change in watch:
                    told = {
                        "watch": WATCH,
                        "key": change.key,
                        "kind": change.kind,
                        "revision": change.revision,
                        "value": change.value,
                    }
                    self._record.note("change", told, change.cursor)
                    self._since = change.cursor
                    self._newest[change.key] = change.revision
                    self._look()
            except WatchTooOldError:
                self._record.note("watch_gap", {"watch": WATCH})
                self._since = "start"

    def want(self, revisions: dict[str, int]) -> None:
        self._wanted = revisions
        self._look()

    def _look(self) -> None:
        if self._wanted is not None and all(
            self._newest.get(key, 0) >= revision for key, revision in self._wanted.items()
        ):
            self.complete.set()


def _cursor(watch: Watch) -> str | None:
    return watch.cursor


async def obey(following: Following) -> None:
    """Wait until all has been seen that was asked for, or for so long."""
    async for line in commands():
        following.want(json.loads(line))
        break
    waited = waiting_of_thread()
    began, before = time.monotonic(), waited()
    while not following.complete.is_set():
        passed = time.monotonic() - began
        if passed > MOST_PATIENCE or passed - (waited() - before) > _PATIENCE:
            print("the watch has not told all that it should", file=sys.stderr)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await following.complete.wait()


async def main(watcher: Watcher) -> None:
    with Recorder(Path(watcher.file), watcher.process) as recorder, watch_stalls(recorder):
        memory = open_memory(
            watcher.url, fleet=watcher.fleet, timeout=TIMEOUT, cleanup_interval=None
        )
        following = Following(memory, recorder, watcher.since)
        task = asyncio.create_task(following.follow())
        obeying = asyncio.create_task(obey(following))
        try:
            # A watch that ends by an error is one of its own.
            await asyncio.wait({task, obeying}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            recorder.note("watch_end", {"watch": WATCH})
        finally:
            task.cancel()
            obeying.cancel()
            await asyncio.gather(task, obeying, return_exceptions=True)
            await memory.close()
        await note_what_is_left(recorder)


if __name__ == "__main__":
    asyncio.run(main(Watcher(**json.loads(sys.argv[1]))))
