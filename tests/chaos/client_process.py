"""What the client processes of a chaos run have in common."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from lionagi_qe.testing.history import Recorder

# Of the memories of all: seconds for a call.
TIMEOUT = 1.5
_STALL, _WAITED = 0.15, 0.05
_TICK = 0.02


def waiting_of_thread() -> Callable[[], float]:
    """Return what tells for how many seconds this thread was kept from running, so far."""
    schedule = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def waited() -> float:
        return int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0

    return waited


@contextlib.contextmanager
def watch_stalls(recorder: Recorder) -> Iterator[None]:
    """Record when this process did not run: stopped, or ready while others had the processors."""
    waited = waiting_of_thread()
    over = threading.Event()

    def watch() -> None:
        before, noted = time.monotonic(), waited()
        while not over.wait(_TICK):
            now, total = time.monotonic(), waited()
            if now - before > _STALL:
                recorder.note("stall", {"since": before, "until": now})
                noted = total
            elif total - noted > _WAITED:
                recorder.note("stall", {"since": now - (total - noted), "until": now})
                noted = total
            before = now

    thread = threading.Thread(target=watch, name="stalls")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def note_what_is_left(recorder: Recorder) -> None:
    """Record tasks, threads and connections that outlived the memory."""
    # What was closed goes in the loop's next turns.
    for _ in range(50):
        tasks = [
            task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()
        ]
        connections = [
            f"{each.laddr} to {each.raddr}" for each in psutil.Process().net_connections("tcp")
        ]
        if not tasks and not connections:
            break
        await asyncio.sleep(0.02)
    kept = {"MainThread", "stalls"}
    threads = [
        each.name
        for each in threading.enumerate()
        if each.name not in kept and not each.name.startswith("asyncio")
    ]
    recorder.note("closed", {"tasks": tasks, "threads": threads, "connections": connections})


async def commands() -> AsyncIterator[str]:
    """Yield the lines of standard input; it is the only way in, so no thread must wait there."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line.decode().strip()
    finally:
        transport.close()
