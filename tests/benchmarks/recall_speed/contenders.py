"""Stores that are measured: ours and LangGraph's own, used as LangGraph documents."""

from __future__ import annotations

import importlib
import sqlite3
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from langgraph.store.base import PutOp
from langgraph.store.postgres.aio import AsyncPostgresStore
from tests.benchmarks.recall_speed.data import DIMS, TOP

from lionagi_qe.integrations.langgraph import FleetStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from langgraph.store.base import BaseStore
    from tests.benchmarks.recall_speed.data import Notes

POOL = 10
FILLED_AT_ONCE = 500
_VECTOR_INDEX = "store_vectors_embedding_idx"


class Contender:
    """A store with the notes.

    Args:
        name: whose it is, and on what.
        store: the store.
        notes: what it is filled with.
        server: the server's first process, whose processor seconds count; None: in this process.
    """

    def __init__(self, name: str, store: BaseStore, notes: Notes, server: int | None) -> None:
        self.name = name
        self._store = store
        self._notes = notes
        self._server = server

    async def fill(self, entries: Iterable[int]) -> None:
        """Store notes in large batches."""
        ops = [PutOp(self._notes.namespace(at), str(at), self._notes.value(at)) for at in entries]
        for start in range(0, len(ops), FILLED_AT_ONCE):
            await self._store.abatch(ops[start : start + FILLED_AT_ONCE])
        await self.settle()

    async def settle(self) -> None:
        """Do what was put off when notes were stored."""

    async def put(self, at: int) -> None:
        """Store one note."""
        await self._store.aput(self._notes.namespace(at), str(at), self._notes.value(at))

    async def search(self, query: int) -> list[str]:
        """Return the keys of the nearest notes, best first."""
        found = await self._store.asearch(
            ("notes",), query=self._notes.query_texts[query], limit=TOP
        )
        return [each.key for each in found]

    def seconds(self) -> float:
        """Return how long processors have worked for it, the server's and this process's."""
        return seconds_of(self._server)


def seconds_of(server: int | None) -> float:
    """Return how long processors have worked in this process, and in a server if there is one."""
    # Of this process to the nanosecond; of others the system tells hundredths.
    return time.process_time() + (0.0 if server is None else _used(psutil.Process(server)))


def _used(server: psutil.Process) -> float:
    """Return the seconds of a server, of its processes that are there, and of those that were."""
    times = [server.cpu_times(), *(each.cpu_times() for each in server.children())]
    first = times[0]
    return sum(each.user + each.system for each in times) + (
        first.children_user + first.children_system
    )


class Ours(Contender):
    """A ``FleetStore``."""

    async def settle(self) -> None:
        """Have it index what was stored, by a search; LangGraph's have done that already."""
        await self._store.asearch(("notes",), query=self._notes.query_texts[0], limit=1)


class LangGraphPostgres(Contender):
    """LangGraph's store on a server with pgvector: HNSW, as it comes."""

    url = ""

    async def fill(self, entries: Iterable[int]) -> None:
        """Fill the table first, as whoever moves data does: the index is built ten times faster."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            cursor = await connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE indexname = %s", (_VECTOR_INDEX,)
            )
            row = await cursor.fetchone()
            assert row is not None
            await connection.execute(f"DROP INDEX {_VECTOR_INDEX}")  # pyright: ignore[reportArgumentType]
            await super().fill(entries)
            await connection.execute("SET maintenance_work_mem = '1GB'")
            await connection.execute(row[0])
            await connection.execute("VACUUM ANALYZE")


def index(notes: Notes, **more: Any) -> Any:
    """Return LangGraph's settings of an index."""
    return {"dims": DIMS, "embed": notes.embed, "fields": ["text"], **more}


@asynccontextmanager
async def ours(name: str, url: str, notes: Notes, server: int | None) -> AsyncGenerator[Contender]:
    """Open ours."""
    async with FleetStore(url, index=index(notes, model="made-up"), timeout=600) as store:
        yield Ours(name, store, notes, server)


@asynccontextmanager
async def langgraph_postgres(url: str, notes: Notes, server: int) -> AsyncGenerator[Contender]:
    """Open LangGraph's on PostgreSQL."""
    async with AsyncPostgresStore.from_conn_string(
        url, pool_config={"min_size": POOL, "max_size": POOL}, index=index(notes)
    ) as store:
        await store.setup()
        contender = LangGraphPostgres("LangGraph, PostgreSQL", store, notes, server)
        contender.url = url
        yield contender


@asynccontextmanager
async def langgraph_sqlite(path: Path, notes: Notes) -> AsyncGenerator[Contender]:
    """Open LangGraph's on SQLite, which loads sqlite-vec into it."""
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        # This Python was built without that; a wheel has the same module with it.
        sys.modules["sqlite3"] = importlib.import_module("pysqlite3")
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            AsyncSqliteStore.from_conn_string(str(path), index=index(notes))
        )
        await store.setup()
        yield Contender("LangGraph, SQLite", store, notes, None)
