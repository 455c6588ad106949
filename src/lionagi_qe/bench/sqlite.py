"""The arena on SQLite, and the plain driver there."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import apsw
import orjson

from lionagi_qe.bench.arena import Arena
from lionagi_qe.bench.contender import Contender, Kind
from lionagi_qe.bench.memory import OurMemory
from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.connect import open_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TABLE = """
CREATE TABLE plain (key TEXT PRIMARY KEY, value BLOB NOT NULL, updated_ms INTEGER NOT NULL)
WITHOUT ROWID
"""
_STORE = """
INSERT INTO plain (key, value, updated_ms) VALUES (?, ?, unixepoch('subsec') * 1000)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms
"""
_RETRIEVE = "SELECT value FROM plain WHERE key = ?"
_SEARCH = "SELECT key, value FROM plain WHERE key >= ? AND key < ? ORDER BY key"
_LAST = "\U0010ffff"


class PlainApsw(Contender):
    """The driver's own asyncio interface: a connection in a thread, which the calls go to.

    Write-ahead log and ``synchronous`` as our memory has them.
    """

    name = "apsw"
    kind = Kind.DRIVER
    package = "apsw"

    def __init__(self, path: str, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._connection: Any = None

    async def open(self) -> None:
        """Make the file and the table."""
        self._connection = await apsw.Connection.as_async(self._path)
        for statement in _set_up(self._path, self._synchronous):
            await self._connection.execute(statement)

    async def close(self) -> None:
        """Close the file."""
        await self._connection.aclose()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Upsert one row, a transaction by itself."""
        await self._connection.execute(_STORE, (key, orjson.dumps(value)))

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Select one row."""
        return orjson.loads(await (await self._connection.execute(_RETRIEVE, (key,))).get)

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Upsert rows by executemany in one transaction."""
        rows = [(key, orjson.dumps(value)) for key, value in items.items()]
        async with self._connection:
            await self._connection.executemany(_STORE, rows)

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """Select a range of the primary key."""
        cursor = await self._connection.execute(_SEARCH, (prefix, prefix + _LAST))
        return {key: orjson.loads(value) for key, value in await cursor.fetchall()}


class ApswOnTheLoop(Contender):
    """One connection, called on the event loop itself: no thread, and nothing else runs meanwhile.

    No way for a program of many agents, but the least that SQLite costs. After each call others
    get a turn.
    """

    name = "apsw, on the loop"
    kind = Kind.PEER
    package = "apsw"

    def __init__(self, path: str, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._connection: Any = None

    async def open(self) -> None:
        """Make the file and the table."""
        self._connection = apsw.Connection(self._path)
        for statement in _set_up(self._path, self._synchronous):
            self._connection.execute(statement)

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()

    async def store(self, key: str, value: Mapping[str, Any]) -> None:
        """Upsert one row, a transaction by itself."""
        self._connection.execute(_STORE, (key, orjson.dumps(value)))
        await asyncio.sleep(0)

    async def retrieve(self, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """Select one row."""
        value = orjson.loads(self._connection.execute(_RETRIEVE, (key,)).get)
        await asyncio.sleep(0)
        return value

    async def store_many(self, items: Mapping[str, Mapping[str, Any]]) -> None:
        """Upsert rows by executemany in one transaction."""
        with self._connection:
            self._connection.executemany(
                _STORE, [(key, orjson.dumps(value)) for key, value in items.items()]
            )
        await asyncio.sleep(0)

    async def search(self, prefix: str) -> Mapping[str, Any]:
        """Select a range of the primary key."""
        rows = self._connection.execute(_SEARCH, (prefix, prefix + _LAST)).fetchall()
        await asyncio.sleep(0)
        return {key: orjson.loads(value) for key, value in rows}


def _set_up(path: str, synchronous: str) -> Iterator[str]:
    if path != ":memory:":
        yield "PRAGMA journal_mode = WAL"
    yield f"PRAGMA synchronous = {synchronous}"
    yield _TABLE


class SqliteArena(Arena):
    """A folder of its own beside the file that the URL names, on the same disk."""

    backend = "sqlite"

    def __init__(self, url: str) -> None:
        super().__init__()
        open_memory(url)  # it knows best what a URL may say
        parts = urlsplit(url)
        self._synchronous = dict(parse_qsl(parts.query)).get("synchronous", "full")
        self._file = None if parts.scheme == "memory" else Path(unquote(parts.path[1:])).absolute()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def enter(self) -> None:
        """Make the folder."""
        if self._file is None:
            return
        try:
            self._folder = tempfile.TemporaryDirectory(prefix=self.token, dir=self._file.parent)
        except OSError as error:
            msg = f"{self._file.parent}: no folder can be made here ({error.strerror})"
            raise ConfigurationError(msg) from error

    async def leave(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def memory_url(self) -> str:
        """The URL of a file in the folder."""
        if self._folder is None:
            return "memory://"
        return f"sqlite:///{quote(self._folder.name)}/memory.db?synchronous={self._synchronous}"

    def contenders(self) -> list[Contender]:
        """Return ours and apsw twice."""

        def plain(name: str) -> str:
            return ":memory:" if self._folder is None else f"{self._folder.name}/{name}.db"

        return [
            OurMemory(self.memory_url, self.token),
            PlainApsw(plain("plain"), self._synchronous),
            ApswOnTheLoop(plain("on_the_loop"), self._synchronous),
        ]

    async def describe(self) -> dict[str, Any]:
        """Tell the version and the durability."""
        return {
            "server": f"SQLite {apsw.sqlite_lib_version()}",
            "journal_mode": "memory" if self._file is None else "wal",
            "synchronous": self._synchronous,
        }
