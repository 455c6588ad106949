"""A second memory, opened on a PostgreSQL standby for reading: what works there, what it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import Lease, Presence, WorkQueue, held_leases
from lionagi_qe.testing.servers import PostgresServer, PostgresStandby
from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lionagi_qe import Memory

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PostgresServer, PostgresStandby]]:
    """A primary and a standby that commits don't wait for: the usual read replica."""
    with PostgresServer() as primary, PostgresStandby(primary) as standby:
        yield primary, standby


@pytest.fixture
async def primary(servers: tuple[PostgresServer, PostgresStandby]) -> AsyncIterator[Memory]:
    async with open_memory(servers[0].url) as memory:
        await memory.store_many({f"aqe/k/{at}": at for at in range(5)}, partition="part")
        await WorkQueue(memory, "jobs").put({"a": 1})
        yield memory


@pytest.fixture
async def replica(
    primary: Memory, servers: tuple[PostgresServer, PostgresStandby]
) -> AsyncIterator[Memory]:
    wait_until(servers[1].follows, "the standby follows", timeout=20)
    async with open_memory(servers[1].url, migrate=False, timeout=5) as memory:
        yield memory


async def test_all_that_reads_works_on_a_replica(primary: Memory, replica: Memory) -> None:
    del primary
    assert await replica.retrieve("aqe/k/1") == 1
    assert await replica.retrieve_many(["aqe/k/1", "aqe/k/2"]) == {"aqe/k/1": 1, "aqe/k/2": 2}
    assert (await replica.entry("aqe/k/1")).partition == "part"  # type: ignore[union-attr]
    assert len(await replica.entries_many(["aqe/k/1"])) == 1
    assert await replica.exists("aqe/k/1")
    assert len(await replica.search("aqe/k/*", partition="part")) == 5
    assert len(await replica.list_keys("aqe/k/")) == 5
    assert await replica.list_children("aqe/") == ["aqe/k/"]
    assert [entry.value async for entry in replica.scan("aqe/k/")] == [*range(5)]
    assert (await replica.get_stats())["server"]["role"] == "standby"
    queue = WorkQueue(replica, "jobs")
    assert (await queue.stats()).ready == 1
    assert len((await queue.jobs("ready")).jobs) == 1
    assert await held_leases(replica) == []
    assert await Presence(replica, "nobody").alive() == []
    async with replica.watch("aqe/k/*", "start") as watch:
        assert (await anext(watch)).key.startswith("aqe/k/")


@pytest.mark.parametrize(
    "change",
    [
        "store",
        "store_many",
        "delete",
        "increment",
        "transaction",
        "put",
        "claim",
        "clear_partition",
        "cleanup_expired",
    ],
)
async def test_whatever_changes_something_is_refused_by_a_replica(
    replica: Memory, primary: Memory, change: str
) -> None:
    with pytest.raises(errors.BackendUnavailableError, match="read-only") as caught:
        await _changed(replica, change)
    assert caught.value.outcome == "not_applied"
    assert await primary.retrieve("aqe/k/1") == 1


async def _changed(memory: Memory, change: str) -> None:
    # It is tried again until then; a try that is cut off tells of no replica.
    timeout = 1.0
    match change:
        case "store":
            await memory.store("aqe/k/1", 2, timeout=timeout)
        case "store_many":
            await memory.store_many({"aqe/k/1": 2}, timeout=timeout)
        case "delete":
            await memory.delete("aqe/k/1", timeout=timeout)
        case "increment":
            await memory.increment("aqe/k/1", timeout=timeout)
        case "transaction":
            async with memory.transaction(timeout=timeout) as changes:
                changes.store("aqe/k/1", 2)
        case "put":
            await WorkQueue(memory, "jobs").put({}, timeout=timeout)
        case "claim":
            await WorkQueue(memory, "jobs").claim(timeout=timeout)
        case "clear_partition":
            await memory.clear_partition("part", timeout=timeout)
        case _:
            await memory.cleanup_expired(timeout=timeout)


async def test_a_lease_that_no_replica_can_give_is_not_said_to_be_held(replica: Memory) -> None:
    with pytest.raises(errors.BackendTimeoutError, match="gave no answer") as caught:
        await Lease(replica, "name", ttl=1).acquire(timeout=0.2)
    assert "holder" not in str(caught.value)


async def test_a_replica_shows_what_has_arrived_and_a_revision_from_it_never_overwrites_unseen(
    primary: Memory, replica: Memory, servers: tuple[PostgresServer, PostgresStandby]
) -> None:
    standby = servers[1]
    await primary.store("aqe/own", "first")
    wait_until(standby.follows, "the standby follows", timeout=20)
    standby.execute("SELECT pg_wal_replay_pause()::text")
    try:
        revision = await primary.store("aqe/own", "second")
        seen = await replica.entry("aqe/own")
        assert seen is not None
        # No read of one's own writes there; and by the revision one can tell.
        assert (seen.value, seen.revision < revision) == ("first", True)
        with pytest.raises(errors.RevisionConflictError):
            await primary.store("aqe/own", "lost?", if_revision=seen.revision)
    finally:
        standby.execute("SELECT pg_wal_replay_resume()::text")
    wait_until(standby.follows, "the standby follows", timeout=20)
    arrived = await replica.entry("aqe/own")
    assert arrived is not None
    assert (arrived.value, arrived.revision) == ("second", revision)


async def test_with_remote_apply_what_was_stored_is_seen_on_the_replica_at_once(
    primary: Memory, replica: Memory, servers: tuple[PostgresServer, PostgresStandby]
) -> None:
    settings = {"synchronous_standby_names": "standby", "synchronous_commit": "remote_apply"}
    for name, value in settings.items():
        servers[0].execute(f"ALTER SYSTEM SET {name} = '{value}'")
    servers[0].execute("SELECT pg_reload_conf()")
    try:
        # Until connections that are open have taken it up, commits don't wait.
        async with open_memory(servers[0].url) as memory:
            for number in range(50):
                await memory.store("aqe/applied", number)
                assert await replica.retrieve("aqe/applied") == number
    finally:
        for name in settings:
            servers[0].execute(f"ALTER SYSTEM RESET {name}")
        servers[0].execute("SELECT pg_reload_conf()")
