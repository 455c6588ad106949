"""One process's connections to a SQLite file: a thread that writes, a thread that reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.sqlite.file import check_exists, close_file, make_file
from lionagi_qe.persistence.sqlite.schema import check_owner, enter, in_transaction
from lionagi_qe.persistence.sqlite.thread import ConnectionThread

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw


T = TypeVar("T")
MEMORY = ":memory:"


class SqliteSession:
    """A fleet's place in a SQLite file, and how its parts get at it.

    Attributes:
        path: the file, or ":memory:".
        is_private: the memory ends with the process.
        synchronous: "full" or "normal".
        fleet: the fleet's number; 0 before it is opened.
    """

    def __init__(self, path: str, *, synchronous: str, busy_seconds: float) -> None:
        if synchronous not in {"full", "normal"}:
            msg = f"synchronous={synchronous!r}: SQLite memories take 'full' or 'normal'"
            raise ConfigurationError(msg)
        self.path = path
        self.is_private = path == MEMORY
        self.synchronous = synchronous
        self.fleet = 0
        self._busy_seconds = busy_seconds
        self._writer: ConnectionThread | None = None
        self._reader: ConnectionThread | None = None

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Create or check the file and its schema, and enter the fleet."""
        # A private memory is always a new one.
        migrate = migrate or self.is_private
        if not migrate:
            check_exists(self.path)
        elif not self.is_private:
            make_file(self.path)

        def prepare(connection: apsw.Connection) -> None:
            # Before anything is written, the journal's mode included.
            check_owner(connection, self.path)
            if not self.is_private:
                close_file(self.path)
            if migrate and not self.is_private:
                # Kept in the file.
                connection.execute("PRAGMA journal_mode = WAL")
            self._prepare(connection)

        self._writer = ConnectionThread(self.path, prepare, self._busy_seconds)
        await self._writer.start()
        self.fleet = await self._writer.run(
            lambda connection: enter(connection, fleet, self.path, migrate=migrate)
        )
        if self.is_private:
            self._reader = self._writer
        else:
            self._reader = ConnectionThread(self.path, self._prepare, self._busy_seconds)
            await self._reader.start()

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if not self.is_private:
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")

    async def close(self) -> None:
        """Close both connections and end their threads."""
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        if reader is not None and reader is not writer:
            await reader.stop()
        if writer is not None:
            await writer.stop()

    async def transact(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do ``job`` on the writer in one transaction."""
        writer = cast("ConnectionThread", self._writer)
        return await writer.run(lambda connection: in_transaction(connection, job))

    async def read(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do ``job`` on the reader, without a transaction around it."""
        return await cast("ConnectionThread", self._reader).run(job)

    async def read_snapshot(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do a job of several statements on one state of the file."""
        return await self.read(lambda connection: in_transaction(connection, job, kind="DEFERRED"))
