"""What names tell at the store itself where they are hidden, and what is found by them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.backends import on, url_of
from tests.security.test_encryption import stored_bytes

from lionagi_qe import (
    ArchiveError,
    ConfigurationError,
    DecryptionError,
    HiddenNamesError,
    KeyRing,
    Memory,
    RevisionConflictError,
    StaleFenceError,
    open_memory,
)
from lionagi_qe.coordination import Lease, WorkQueue, held_leases
from lionagi_qe.persistence import grants, transfer
from lionagi_qe.persistence.contract.operations import Fence, Put
from lionagi_qe.persistence.hidden_names.names import KEY_BYTES, MAX_SEGMENTS, Names, names_of
from lionagi_qe.persistence.inspection import stored_by
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.keys import MAX_KEY_BYTES, MAX_STORED_KEY_BYTES
from lionagi_qe.testing.conformance.base import erase
from lionagi_qe.testing.strategies import keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.integration
FIRST, NEXT, NAMES = (KeyRing.generate(name) for name in ("first", "next", "names"))
KEYS = KeyRing.parse(f"{FIRST},{NAMES}")
SECRET = "acquisition"


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"hidden-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def memory(url: str, fleet: str) -> AsyncGenerator[Memory]:
    async with open_memory(
        url, fleet=fleet, keys=KEYS, hide_names="names", cleanup_interval=None
    ) as memory:
        yield memory
        await erase(memory)


async def test_the_store_holds_no_name_in_clear(memory: Memory, url: str) -> None:
    key = f"aqe/{SECRET}/{SECRET}"
    await memory.store_many({key: 1, f"{key}-2": 2}, partition=SECRET)
    await memory.delete(f"{key}-2")
    queue = WorkQueue(memory, SECRET)
    await queue.put(1, dedupe=SECRET, limit_key=SECRET)
    await queue.schedule(SECRET, cron="0 3 * * *", payload=1)
    lease = Lease(memory, SECRET)
    await lease.acquire()
    if "cluster" not in url:
        found = await stored_bytes(url)
        assert b"~names~" not in found
        assert b"aqe/~" in found
        assert SECRET.encode() not in found
    assert (await memory.get_stats())["partitions"] == {SECRET: 1}
    assert await parts_of(memory).jobs.queues() == [SECRET]
    assert [each.name for each in await queue.schedules()] == [SECRET]
    assert [each.name for each in await held_leases(memory)] == [SECRET]
    (job,) = (await queue.jobs("ready")).jobs
    assert job.status.limit_key == SECRET
    await queue.unschedule(SECRET)
    await lease.release()


@settings(
    max_examples=5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(held=st.lists(keys(), min_size=1, max_size=30, unique=True))
async def test_whole_segments_find_what_they_find_in_clear(url: str, held: list[str]) -> None:
    """Each level is told whole: in pages of all sizes, as a range, as children, by patterns."""
    held = [key for key in held if key.count("/") <= MAX_SEGMENTS]
    fleet = f"hidden-{uuid.uuid4().hex[:12]}"
    async with (
        open_memory(url, fleet=fleet, keys=KEYS, hide_names="names") as memory,
        open_memory("memory://") as clear,
    ):
        for each in (memory, clear):
            await each.store_many({key: key for key in held})
        levels = {key[: at + 1] for key in held for at, sign in enumerate(key) if sign == "/"}
        for level in sorted(levels)[:20]:
            expected = await clear.list_keys(level)
            assert await memory.list_keys(level) == expected
            assert await memory.list_children(level) == await clear.list_children(level)
            for size in (1, 3):
                for call in (memory.list_keys, memory.list_children):
                    seen: list[str] = []
                    while page := await call(level, limit=size, after=seen[-1] if seen else None):
                        seen += page
                    assert sorted(seen) == await call(level)
            found = [entry.key async for entry in memory.scan(level, page_size=2)]
            assert sorted(found) == expected
            rest = [entry.key async for entry in memory.scan(level, after=found[0])]
            assert rest == found[1:]
        assert await memory.search("*") == {key: key for key in sorted(held)}
        for key in held[:5]:
            assert await memory.retrieve(key) == key
        await erase(memory)


async def test_parts_of_segments_are_refused_and_say_what_can_be_asked(memory: Memory) -> None:
    await memory.store_many({"aqe/plans/a1": 1, "aqe/plans/b1": 2, "aqe/plan": 3})
    assert await memory.search("aqe/plans/*1") == {"aqe/plans/a1": 1, "aqe/plans/b1": 2}
    assert await memory.search("aqe/plan") == {"aqe/plan": 3}
    assert await memory.search("aqe/*/a?") == {"aqe/plans/a1": 1}
    calls = [
        memory.search("aqe/plans/a*"),
        memory.search("aqe/pl[a]n*"),
        memory.list_keys("aqe/plans/a"),
        memory.list_keys("aqe/plans/", after="aqe/plans/a/"),
        memory.delete_prefix("aqe/plan"),
        anext(memory.scan("aqe/plan")),
        memory.store("aqe" + "/a" * (MAX_SEGMENTS + 1), 1),
        memory.retrieve("aqe" + "/a" * (MAX_SEGMENTS + 1)),
    ]
    for call in calls:
        with pytest.raises(HiddenNamesError, match="names are hidden"):
            await call
    # A watch reads all that changes in the level, and tells what it was asked for.
    async with memory.watch("aqe/plans/a*", since="start") as watch:
        change = await anext(watch)
        assert (change.key, change.value) == ("aqe/plans/a1", 1)
        await memory.delete("aqe/plans/b1")
        await memory.delete("aqe/plans/a1")
        change = await anext(watch)
        assert (change.kind, change.key) == ("deleted", "aqe/plans/a1")


async def test_errors_name_what_was_asked_for(memory: Memory) -> None:
    await memory.store("aqe/a", 1)
    with pytest.raises(RevisionConflictError, match="'aqe/a'") as conflict:
        await memory.store("aqe/a", 2, if_revision=0)
    assert conflict.value.key == "aqe/a"
    with pytest.raises(RevisionConflictError, match="'aqe/a'"):
        await _in_a_batch(memory)
    with pytest.raises(StaleFenceError, match="'leader'") as stale:
        await memory.store("aqe/a", 2, fence=Fence("leader", 7))
    assert stale.value.name == "leader"


async def _in_a_batch(memory: Memory) -> None:
    async with memory.transaction() as tx:
        tx.store("aqe/a", 2, if_revision=0)


async def test_names_in_clear_and_hidden_ones_are_not_mixed(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet, keys=KEYS) as clear:
        await clear.store("aqe/a", 1)
        with pytest.raises(ConfigurationError, match="not hidden by the key 'names'"):
            await open_memory(url, fleet=fleet, keys=KEYS, hide_names="names").open()
        other = f"{fleet}-hidden"
        async with open_memory(url, fleet=other, keys=KEYS, hide_names="names") as hidden:
            assert (await transfer.copy(clear, hidden)).stored == 1
            assert (await transfer.compare(clear, hidden)).equal
            await hidden.store("aqe/b", 1)
            assert (await transfer.compare(clear, hidden)).faults == {"extra": 1}
            with pytest.raises(ConfigurationError, match="hide_names='names'"):
                await open_memory(url, fleet=other, keys=KEYS).open()
            with pytest.raises(ConfigurationError, match="not hidden by the key 'first'"):
                await open_memory(url, fleet=other, keys=KEYS, hide_names="first").open()
            await erase(hidden)
        await erase(clear)


async def test_what_somebody_stored_under_another_name_is_refused(
    memory: Memory, fleet: str
) -> None:
    """The attacker moves values and invents names past the library."""
    await memory.store_many({"aqe/a": 1, "aqe/b": 2})
    backend = stored_by(memory)
    names = Names(KEYS.derive("names", names_of(fleet), KEY_BYTES), "names")
    one, _ = await backend.read_payloads([names.key("aqe/a"), names.key("aqe/b")])
    assert one is not None
    payload = one.encode() if isinstance(one, str) else one
    await backend.write([Put(names.key("aqe/b"), payload)], atomic=False)
    with pytest.raises(DecryptionError, match="aqe/b"):
        await memory.retrieve("aqe/b")
    await memory.store("aqe/b", 2)
    moved = names.key("aqe/a").replace("aqe/", f"{names.key('aqe/b')}/")
    for forged in ("aqe/in-clear", moved, f"{names.key('aqe/a')}A"):
        await backend.write([Put(forged, payload)], atomic=False)
        with pytest.raises(DecryptionError, match="is no name that was hidden"):
            await memory.list_keys()
        await backend.write([Put(forged, payload, ttl_ms=1)], atomic=False)
        while await backend.read_payloads([forged]) != [None]:
            pass
    assert await memory.search("*") == {"aqe/a": 1, "aqe/b": 2}


async def test_an_archive_holds_no_name_and_gives_them_back(
    memory: Memory, fleet: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.jsonl"
    await memory.store_many({f"aqe/{SECRET}/1": 1, f"aqe/{SECRET}/2": {"a": SECRET}}, partition="p")
    await transfer.export(memory, path, pattern=f"aqe/{SECRET}/*")
    text = path.read_text()
    assert SECRET not in text
    async with open_memory("memory://", keys=KEYS) as other:
        assert (await transfer.restore(path, other)).stored == 2
        assert await other.search("*", partition="p") == await memory.search("*")
        path.write_text(text.replace('"names":"sealed"', '"names":"clear"'))
        with pytest.raises(ArchiveError, match="line 2"):
            await transfer.restore(path, other)


async def test_values_change_keys_and_names_stay(url: str, fleet: str, memory: Memory) -> None:
    await memory.store(f"aqe/{SECRET}", 1)
    queue = WorkQueue(memory, SECRET)
    await queue.put("work", dedupe="k")
    ring = KeyRing.parse(f"{NEXT},{FIRST},{NAMES}")
    async with open_memory(url, fleet=fleet, keys=ring, hide_names="names") as rotated:
        done = await transfer.rekey(rotated)
        assert (done.sealed, done.texts_sealed, done.refused) == (1, 1, 0)
    ring = KeyRing.parse(f"{NEXT},{NAMES}")
    async with open_memory(url, fleet=fleet, keys=ring, hide_names="names") as rotated:
        assert await rotated.search("*") == {f"aqe/{SECRET}": 1}
        (job,) = await WorkQueue(rotated, SECRET).claim(wait=10)
        assert job.payload == "work"
        await job.ack(None)


@pytest.mark.parametrize("length", [1, 8, 9, 16, 17, 300, MAX_KEY_BYTES - 4])
def test_no_stored_name_is_too_long_for_a_server(length: int) -> None:
    names = Names(bytes(KEY_BYTES), "names")
    count = min(MAX_SEGMENTS, (MAX_KEY_BYTES - 3) // (length + 1))
    key = "aqe" + f"/{'x' * length}" * count
    stored = names.key(key)
    assert len(stored) <= MAX_STORED_KEY_BYTES
    assert names.read_key(stored) == key


def test_equal_segments_in_different_places_look_different() -> None:
    names = Names(bytes(KEY_BYTES), "names")
    segments = [
        segment
        for key in ("aqe/x/x", "aqe/y/x", "aqe/x/y")
        for segment in names.key(key).split("/")[1:]
    ]
    assert len({*segments}) == 5
    assert names.name("x") == segments[0]
    assert len({names.label(kind, "x") for kind in ("partition", "dedupe", "limit")}) == 3
    other = Names(KEYS.derive("names", names_of("b"), KEY_BYTES), "names")
    assert other.key("aqe/x") != Names(KEYS.derive("names", names_of("a"), KEY_BYTES), "names").key(
        "aqe/x"
    )
    with pytest.raises(ConfigurationError, match="hide_names"):
        open_memory("memory://", hide_names="names")
    with pytest.raises(ConfigurationError, match=r"it has \['first', 'names'\]"):
        open_memory("memory://", keys=KEYS, hide_names="x")


@pytest.mark.postgres
async def test_a_server_binds_roles_to_hidden_names(postgres_server: object, fleet: str) -> None:
    from tests.granted_memories import PASSWORD, as_user

    with postgres_server.fresh_database() as url:  # type: ignore[attr-defined]
        role = f"aqe_{uuid.uuid4().hex[:12]}"
        postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")  # type: ignore[attr-defined]
        async with open_memory(url, fleet=fleet, keys=KEYS, hide_names="names") as memory:
            await memory.store_many({"aqe/mine/a": 1, "aqe/theirs/a": 2})
            with pytest.raises(HiddenNamesError):
                await grants.grant(memory, role, write=["aqe/mine*"])
            await grants.grant(memory, role, write=["aqe/mine/*"])
            bound = as_user(url, role)
            async with open_memory(
                bound, fleet=fleet, keys=KEYS, hide_names="names", cleanup_interval=None
            ) as theirs:
                assert await theirs.search("*") == {"aqe/mine/a": 1}
                await theirs.store("aqe/mine/" + "x" * 200, 1)
            connection = await asyncpg.connect(bound)
            rows = await connection.fetch("SELECT key FROM lionagi_qe.entries")
            await connection.close()
            assert len(rows) == 2
            await grants.revoke(memory, role)
        postgres_server.execute(f"DROP ROLE {role}")  # type: ignore[attr-defined]
