"""What SQLite alone takes for the notes: the backend is given what was encoded beforehand."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.recall_speed.data import DIMS
from tests.benchmarks.recall_speed.spreading import COROUTINES

from lionagi_qe.persistence.contract.indexes import Document
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.recall.codes import code_of
from lionagi_qe.persistence.recall.terms import document_number, levels, prefix_term
from lionagi_qe.persistence.recall.vectors import marked, packed
from lionagi_qe.persistence.sqlite.backend import SqliteBackend
from lionagi_qe.persistence.values.codec import encode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.recall_speed.data import Notes

INDEXED_AT_ONCE = 500
_ROOT = "aqe/langgraph/"


async def measure_statements(path: Path, notes: Notes, *, entries: int, rounds: int) -> str:
    """Fill a file, put the last notes as ``Ours`` does, and return a row of the table."""
    backend = SqliteBackend(str(path))
    await backend.open("floor", migrate=True)
    try:
        told = await backend.describe()
        assert told["journal_mode"] == "wal"
        assert "synchronous=FULL" in told["durability"]
        await _put(backend, notes, range(entries), INDEXED_AT_ONCE)
        busy: list[float] = []
        clock: list[float] = []
        some = (len(notes.texts) - entries) // rounds
        for number in range(rounds):
            start = entries + number * some
            taken = await _put(backend, notes, range(start, start + some), COROUTINES)
            busy.append(taken[0] / some * 1_000)
            clock.append(taken[1] / some * 1_000)
    finally:
        await backend.close()
    return (
        f"| {entries:,} | put | SQLite alone, for ours | {median(busy):.3f} "
        f"| {median(clock):.3f} |  | | |"
    )


async def _put(
    backend: SqliteBackend, notes: Notes, some: range, at_once: int
) -> tuple[float, float]:
    """Store notes in transactions of so many, then index them; return the seconds they took."""
    puts, documents = [_operation(notes, at) for at in some], [_document(notes, at) for at in some]
    position = await backend.indexes.position("notes")
    busy, clock = time.process_time(), time.perf_counter()
    for start in range(0, len(puts), at_once):
        await backend.write(puts[start : start + at_once], atomic=False)
    for start in range(0, len(documents), INDEXED_AT_ONCE):
        part = documents[start : start + INDEXED_AT_ONCE]
        moved = f"{some.start + start}+"
        assert await backend.indexes.write("notes", position, moved, part, [])
        position = moved
    return time.process_time() - busy, time.perf_counter() - clock


def _key(notes: Notes, at: int) -> str:
    return f"{_ROOT}{'/'.join(notes.namespace(at))}/{at}"


def _operation(notes: Notes, at: int) -> Put:
    payload = encode({"value": notes.value(at), "ttl_minutes": None})
    return Put(_key(notes, at), payload, "langgraph")


def _document(notes: Notes, at: int) -> Document:
    key, vector = _key(notes, at), packed(notes.vectors[at])
    postings = {prefix_term(level): 0 for level in levels(key, _ROOT)}
    code = code_of(vector, DIMS)
    return Document(document_number(key), key, at + 1, postings, marked([vector], [key]), code)
