"""Several processes on one memory: nothing lost, one schema, forks refused, kills survived."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests import prefork
from tests.backends import on, url_of
from tests.programs import finish

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.server_support.migrations import Migration, load_migrations
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

pytestmark = pytest.mark.integration

PROCESSES = 8
CALLS = 200

COUNT = """
import asyncio, sys
from lionagi_qe import open_memory

async def main(url, calls):
    async with open_memory(url, timeout=60) as memory:
        for _ in range(calls):
            await memory.update("aqe/updated", lambda value: value + 1, default=0)
            await memory.increment("aqe/incremented")

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
OPEN = """
import asyncio, sys
from lionagi_qe import open_memory

async def main(url):
    async with open_memory(url, timeout=60) as memory:
        await memory.increment("aqe/opened")

asyncio.run(main(sys.argv[1]))
"""
WRITE = """
import asyncio, sys
from lionagi_qe import open_memory

async def write(memory, worker):
    at = 0
    while True:
        at += 1
        key = f"aqe/{worker}/{at}"
        revision = await memory.store(key, at)
        print(key, at, revision, flush=True)

async def main(url):
    async with open_memory(url) as memory:
        await asyncio.gather(*(write(memory, worker) for worker in range(16)))

asyncio.run(main(sys.argv[1]))
"""


async def start(code: str, *arguments: str) -> Process:
    return await prefork.start("code", code, *arguments, flags=("-W", "error"))


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    """A memory on each backend in turn."""
    return url_of(request)


async def test_updates_and_increments_of_eight_processes_all_count(url: str) -> None:
    async with open_memory(url) as memory:
        await memory.delete_many(["aqe/updated", "aqe/incremented"])
        processes = [await start(COUNT, url, str(CALLS)) for _ in range(PROCESSES)]
        await asyncio.gather(*map(finish, processes))
        found = await memory.retrieve_many(["aqe/updated", "aqe/incremented"])
    assert found == {"aqe/updated": PROCESSES * CALLS, "aqe/incremented": PROCESSES * CALLS}


@pytest.mark.parametrize(
    "backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
async def test_ten_processes_may_open_a_new_database_at_once(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path / 'new' / 'memory.db'}"
        processes = [await start(OPEN, url) for _ in range(10)]
        await asyncio.gather(*map(finish, processes))
    else:
        server = request.getfixturevalue("postgres_server")
        with server.fresh_database() as url:
            processes = [await start(OPEN, url) for _ in range(10)]
            await asyncio.gather(*map(finish, processes))
            async with open_memory(url) as memory:
                assert await memory.retrieve("aqe/opened") == 10
            return
    async with open_memory(url) as memory:
        assert await memory.retrieve("aqe/opened") == 10


async def test_what_a_killed_process_was_told_is_there(url: str) -> None:
    async with open_memory(url) as memory:
        for partition in (await memory.get_stats())["partitions"]:
            await memory.clear_partition(partition)
        process = await start(WRITE, url)
        told: dict[str, tuple[int, int]] = {}
        assert process.stdout is not None
        while len(told) < 1_000:
            key, value, revision = (await process.stdout.readline()).split()
            told[key.decode()] = (int(value), int(revision))
        process.send_signal(signal.SIGKILL)
        rest, _ = await process.communicate()
        for line in rest.splitlines()[:-1]:
            key, value, revision = line.split()
            told[key.decode()] = (int(value), int(revision))
        found: dict[str, tuple[int, int]] = {}

        async def every_way_to_look_agrees() -> bool:
            found.clear()
            async for entry in memory.scan("aqe/"):
                found[entry.key] = (entry.value, entry.revision)
            listed = await memory.list_keys()
            return listed == sorted(found) and (
                (await memory.get_stats())["total_keys"] == len(found)
            )

        # What was on its way when the process was killed may still land.
        await until(every_way_to_look_agrees)
        assert told.items() <= found.items()
        await memory.delete_many(list(found)[:10_000])


async def test_a_fork_can_not_use_its_parents_memory_and_does_not_hurt_it(url: str) -> None:
    async with open_memory(url) as memory:
        await memory.store("aqe/parent", 1)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, json.dumps(_in_child(memory)).encode())
            os._exit(0)
        os.close(writer)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(None, os.read, reader, 10_000)
        os.close(reader)
        await asyncio.to_thread(os.waitpid, child, 0)
        complaint, closed = json.loads(answer)
        assert "before a fork" in complaint
        assert closed == "closed"
        assert await memory.retrieve("aqe/parent") == 1
        assert await memory.increment("aqe/parent") == 2
        await memory.delete("aqe/parent")


def _in_child(memory: Any) -> list[str]:
    """Use the memory on an event loop of the child; return what happened."""

    async def use() -> list[str]:
        try:
            await memory.retrieve("aqe/parent")
        except errors.MemoryClosedError as error:
            outcome = str(error)
        else:
            outcome = "no error"
        await memory.close()
        return [outcome, "closed"]

    # The parent's loop runs in this thread as far as asyncio knows; the child has its own.
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    return loop.run_until_complete(use())


@pytest.mark.parametrize(
    "backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
class TestSchema:
    async def test_a_missing_schema_is_refused_when_migrations_are_forbidden(
        self, backend: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        url = self._fresh(backend, tmp_path, request)
        memory = open_memory(url, migrate=False)
        with pytest.raises(errors.SchemaMissingError, match="migrat"):
            await memory.open()
        await memory.close()
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)
        async with open_memory(url, migrate=False) as memory:
            assert await memory.retrieve("aqe/a") == 1

    async def test_without_migrate_neither_a_memory_nor_a_fleet_is_made(
        self, backend: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        url = self._fresh(backend, tmp_path, request)
        for _ in range(2):
            memory = open_memory(url, migrate=False)
            with pytest.raises(errors.SchemaMissingError, match=r"there is no .*check the name"):
                await memory.open()
            await memory.close()
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)
        for _ in range(2):
            memory = open_memory(url, fleet="other", migrate=False)
            with pytest.raises(errors.SchemaMissingError, match="there is no fleet 'other'"):
                await memory.open()
            await memory.close()
        async with open_memory(url, migrate=False) as memory:
            assert await memory.retrieve("aqe/a") == 1

    async def test_an_older_schema_is_brought_up_unless_that_is_forbidden(
        self,
        backend: str,
        tmp_path: Path,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = self._fresh(backend, tmp_path, request)
        async with open_memory(url):
            pass
        later = Migration(99, "later", "CREATE TABLE {schema}.later (id integer)")
        if backend == "sqlite":
            later = Migration(99, "later", "CREATE TABLE later (id INTEGER)")
        for module in ("schema", "backend"):
            monkeypatch.setattr(
                f"lionagi_qe.persistence.{backend}.{module}.load_migrations",
                lambda package: [*load_migrations(package), later],
                raising=False,
            )
        for _ in range(2):
            memory = open_memory(url, migrate=False)
            with pytest.raises(errors.SchemaMissingError, match="lacks migration") as caught:
                await memory.open()
            await memory.close()
        assert not isinstance(caught.value, errors.MemoryMissingError), "it is there"
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)
            assert await memory.retrieve("aqe/a") == 1

    async def test_a_newer_schema_is_refused(
        self, backend: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        url = self._fresh(backend, tmp_path, request)
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)
        await self._execute(
            backend,
            url,
            tmp_path,
            "INSERT INTO {schema}schema_migrations SELECT 999, 'future', 'x', {moment} ",
        )
        memory = open_memory(url)
        with pytest.raises(errors.SchemaTooNewError, match="999"):
            await memory.open()
        await memory.close()

    async def test_a_changed_migration_is_refused(
        self, backend: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        url = self._fresh(backend, tmp_path, request)
        async with open_memory(url):
            pass
        await self._execute(
            backend, url, tmp_path, "UPDATE {schema}schema_migrations SET checksum = 'other'"
        )
        memory = open_memory(url)
        with pytest.raises(errors.SchemaError, match="0001"):
            await memory.open()
        await memory.close()

    @staticmethod
    def _fresh(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
        if backend == "sqlite":
            return f"sqlite:///{tmp_path / 'memory.db'}"
        name = f"schema{abs(hash(request.node.name))}"
        return f"{request.getfixturevalue('postgres_url')}?schema={name}"

    @staticmethod
    async def _execute(backend: str, url: str, tmp_path: Path, statement: str) -> None:
        if backend == "sqlite":
            connection = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
            connection.execute(statement.format(schema="", moment=0))
            connection.close()
            return
        base, schema = url.split("?schema=")
        client = await asyncpg.connect(base)
        try:
            await client.execute(statement.format(schema=f"{schema}.", moment="now()"))
        finally:
            await client.close()


async def test_who_only_looks_changes_no_byte_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    async with open_memory(f"sqlite:///{file}") as memory:
        await memory.store("aqe/a", 1)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = delete")  # as tools leave it that copy one
    connection.close()
    before = await asyncio.to_thread(file.read_bytes)
    async with open_memory(f"sqlite:///{file}", migrate=False) as memory:
        assert await memory.retrieve("aqe/a") == 1
    assert await asyncio.to_thread(file.read_bytes) == before


@pytest.mark.postgres
async def test_the_sweep_is_done_by_one_of_many_members(postgres_url: str) -> None:
    """All members knock; one of them is let in for each interval."""
    members = [open_memory(postgres_url, fleet="elected", cleanup_interval=0.05) for _ in range(5)]
    try:
        for member in members:
            await member.open()
        await members[0].store_many({f"aqe/{at}": at for at in range(100)}, ttl=0.01)

        async def clean() -> bool:
            stats = await members[0].get_stats()
            return stats["total_keys"] == 0 and stats["total_expired"] == 0

        await until(clean)
    finally:
        for member in members:
            await member.close()
