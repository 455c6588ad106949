"""Times recall by words alone, without vectors, on each of our backends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.benchmarks.recall_speed.contenders import seconds_of
from tests.benchmarks.recall_speed.data import TOP
from tests.benchmarks.recall_speed.spreading import spread

from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from tests.benchmarks.recall_speed.data import Notes

STORED_AT_ONCE = 1_000
NAME = "notes"


async def measure_words(
    name: str, url: str, notes: Notes, *, entries: int, queries: int, server: int | None
) -> str:
    """Fill a memory with notes, search in them, and return a row of the table."""
    async with open_memory(url, fleet="words", timeout=600, cleanup_interval=None) as memory:
        await memory.index(NAME, "aqe/notes/*", "$.text")
        for start in range(0, entries, STORED_AT_ONCE):
            some = range(start, min(entries, start + STORED_AT_ONCE))
            await memory.store_many({f"aqe/notes/{at}": notes.value(at) for at in some})
        busy = seconds_of(server)
        await memory.refresh_index(NAME)
        indexed = (seconds_of(server) - busy) / entries * 1_000
        print(f"{name}: {entries:,} indexed")

        async def search(query: int) -> None:
            await memory.recall(notes.query_texts[query], index=NAME, limit=TOP)

        await spread(range(8), search)
        busy, clock = seconds_of(server), time.perf_counter()
        await spread(range(queries), search)
        busy, clock = seconds_of(server) - busy, time.perf_counter() - clock
    taken = " | ".join(f"{each / queries * 1_000:.3f}" for each in (busy, clock))
    return f"| {entries:,} | {name} | {indexed:.3f} | {taken} |"
