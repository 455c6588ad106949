"""What an attacker at the store itself finds, and what becomes of what he changes there."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import apsw
import asyncpg
import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends import on, url_of

from lionagi_qe import (
    AqeError,
    ConfigurationError,
    DecryptionError,
    InvalidValueError,
    KeyRing,
    Memory,
    PostgresMemory,
    open_memory,
)
from lionagi_qe.coordination import Lease, Presence, WorkQueue
from lionagi_qe.persistence import transfer
from lionagi_qe.persistence.caching.hybrid import HybridMemory
from lionagi_qe.persistence.contract import Put, PutSchedule
from lionagi_qe.persistence.contract.jobs import EndJob, PutJob
from lionagi_qe.persistence.encryption.keys import place_of
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.redis.cache import RedisCache
from lionagi_qe.testing.conformance.base import erase, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lionagi_qe.persistence.watch import Watch

FIRST, SECOND = KeyRing.generate("first"), KeyRing.generate("second")
KEYS = KeyRing.parse(FIRST)
SECRET = "the-secret-of-the-fleet"


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    # Of a cluster's fleet all in one shard, so that what changes together may.
    return url_of(request) + ("?shards=1" if request.param == "cluster" else "")


@pytest.fixture
def fleet() -> str:
    return f"sealed-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def memory(url: str, fleet: str) -> AsyncGenerator[Memory]:
    async with open_memory(url, fleet=fleet, keys=KEYS) as memory:
        yield memory
        await erase(memory)


async def stored_bytes(url: str) -> bytes:
    """Return all that the store holds, past the library."""
    if url.startswith("sqlite"):
        connection = apsw.Connection(url.removeprefix("sqlite:///"))
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        rows = [repr([*connection.execute(f"SELECT * FROM {table}")]) for table in tables]  # noqa: S608 - names of ours
        connection.close()
        return "".join(rows).encode()
    if url.startswith("postgres"):
        connection = await asyncpg.connect(url)
        rows = [
            repr(await connection.fetch(f"SELECT * FROM lionagi_qe.{table}"))  # noqa: S608 - names of ours
            for table in ("entries", "jobs", "job_schedules", "leases")
        ]
        await connection.close()
        return "".join(rows).encode()
    kind = redis.asyncio.RedisCluster if "+cluster" in url else redis.asyncio.Redis
    async with kind.from_url(url.partition("?")[0].replace("+cluster", "")) as client:
        return b"".join([await client.dump(key) or b"" async for key in client.scan_iter("*")])


async def test_the_store_holds_nothing_in_clear(memory: Memory, url: str) -> None:
    queue = WorkQueue(memory, "jobs")
    await memory.store("aqe/a", {"text": SECRET})
    await memory.store_many({"aqe/b": SECRET, "aqe/c": [SECRET]})
    async with memory.transaction() as tx:
        tx.store("aqe/d", SECRET)
        await queue.put(SECRET, transaction=tx)
    done = await queue.put(SECRET, priority=-1)
    (job,) = await queue.claim(wait=10)
    assert job.id == done
    await job.progress(SECRET)
    await job.ack(SECRET)
    (job,) = await queue.claim(wait=10)
    await job.fail(SECRET, retry=False)
    await queue.put("old", dedupe="k", delay=60)
    replaced = await queue.put(SECRET, dedupe="k", delay=60, on_duplicate="replace")
    await queue.schedule("nightly", cron="0 3 * * *", payload=SECRET)
    lease = Lease(memory, "l", holder=SECRET)
    await lease.acquire()
    async with Presence(memory, "p", info=SECRET):
        found = await stored_bytes(url)
    assert b"~first~" in found
    assert SECRET.encode() not in found
    state = await lease.state()
    assert state is not None
    assert state.holder == SECRET
    assert await queue.result(done, 10) == SECRET
    for job_id, what in ((done, "progress"), (replaced, "payload")):
        assert getattr(await queue.status(job_id), what) == SECRET
    assert [schedule.payload for schedule in await queue.schedules()] == [SECRET]
    (dead,) = await queue.dead()
    assert dead.error == SECRET
    status = await queue.status(dead.id)
    assert status is not None
    assert [each.error for each in status.failed_attempts] == [SECRET]
    await lease.release()
    await queue.purge_dead()


def as_bytes(sealed: bytes | str) -> bytes:
    return sealed.encode() if isinstance(sealed, str) else sealed


async def test_changed_and_exchanged_values_are_refused_by_name(
    memory: Memory, url: str, fleet: str
) -> None:
    """The attacker writes the server's rows: a memory without keys stores any bytes as they are."""
    await memory.store_many({"aqe/a": 1, "aqe/b": 2, "aqe/fine": 3})
    async with open_memory(url, fleet=fleet) as stranger:
        backend = parts_of(stranger).backend
        one, two = map(as_bytes, filter(None, await backend.read_payloads(["aqe/a", "aqe/b"])))
        flipped = [
            one[:at] + (b"A" if one[at : at + 1] != b"A" else b"B") + one[at + 1 :]
            for at in (8, 30, len(one) - 5)
        ]
        renamed = one.replace(b"~first~", b"~second~")
        short = [one[:20], one[:-4], b"~first~", b"~other~AAAA", b"~first~!!", b"~", b""]
        for bad in (two, *flipped, renamed, *short, b"1", b'"plain"', b'"~first~AAAA"'):
            await backend.write([Put("aqe/a", bad)], atomic=False)
            # Whoever asks for another key at the same moment is not concerned.
            refused, fine = await asyncio.gather(
                memory.retrieve("aqe/a"), memory.retrieve("aqe/fine"), return_exceptions=True
            )
            assert isinstance(refused, DecryptionError)
            assert "'aqe/a'" in str(refused)
            assert fine == 3


async def test_jobs_results_errors_and_holders_can_not_be_exchanged(
    memory: Memory, url: str, fleet: str
) -> None:
    """What is sealed for one place is refused in each other, of whatever kind."""
    one, two = WorkQueue(memory, "one", max_attempts=1), WorkQueue(memory, "two")
    await memory.store("aqe/a", SECRET)
    await one.put("job")
    await two.put("other")
    await Lease(memory, "l", holder=SECRET, ttl=60).acquire()
    async with open_memory(url, fleet=fleet) as stranger:
        backend: Any = parts_of(stranger).backend
        (job,) = (await backend.jobs.claim("one", 1, 60_000)).jobs
        (entry,) = await backend.read_payloads(["aqe/a"])
        holder = (await backend.leases.look("l")).holder
        (of_two,) = (await backend.jobs.claim("two", 1, 60_000)).jobs
        for at, sealed in enumerate(map(as_bytes, (job.payload, entry, of_two.payload, holder))):
            await backend.leases.acquire(f"l{at}", sealed.decode(), 60_000)
            with pytest.raises(DecryptionError, match=f"holder of lease 'l{at}'"):
                await Lease(memory, f"l{at}").state()
            await backend.write([Put("aqe/b", sealed)], atomic=False)
            with pytest.raises(DecryptionError, match="aqe/b"):
                await memory.retrieve("aqe/b")
            await backend.jobs.write([PutJob("three", f"job-{at}", sealed)])
            with pytest.raises(DecryptionError, match=f"job-{at}"):
                await WorkQueue(memory, "three").claim()
        # A job's own payload is no result of it, and no error.
        payload = as_bytes(job.payload)
        await backend.jobs.write([EndJob("one", job.job_id, job.claim, "ack", payload, 60_000)])
        with pytest.raises(DecryptionError, match=f"result of job {job.job_id}"):
            await one.result(job.job_id)
        payload = as_bytes(of_two.payload)
        await backend.jobs.write([EndJob("two", of_two.job_id, of_two.claim, "bury", payload)])
        with pytest.raises(DecryptionError, match=f"error of job {of_two.job_id}"):
            await two.dead()
        assert await two.purge_dead([of_two.job_id]) == 1


async def test_what_any_job_of_a_queue_may_get_is_for_no_other_queue(
    memory: Memory, url: str, fleet: str
) -> None:
    """Payloads that replace others or are of schedules are bound to their queue."""
    queue = WorkQueue(memory, "one")
    await queue.schedule("tick", cron="* * * * * *", payload="of a schedule")
    async with aclosing(queue.consume(signals=())) as jobs:
        async for job in jobs:
            assert job.payload == "of a schedule"
            await job.ack()
            break
    await queue.unschedule("tick")
    await queue.put("old", dedupe="k")
    await queue.put("new", dedupe="k", on_duplicate="replace")
    async with open_memory(url, fleet=fleet) as stranger:
        backend: Any = parts_of(stranger).backend
        (job,) = (await backend.jobs.claim("one", 1, 60_000)).jobs
        sealed = as_bytes(job.payload)
        await backend.jobs.write([PutJob("two", "job", sealed)])
        with pytest.raises(DecryptionError, match="job job"):
            await WorkQueue(memory, "two").claim()
        await backend.jobs.write([EndJob("one", job.job_id, job.claim, "progress", sealed)])
        with pytest.raises(DecryptionError, match=f"progress of job {job.job_id}"):
            await queue.status(job.job_id)
        schedule = PutSchedule(
            "one", "forged", '{"cron": "* * * * *", "timezone": "UTC"}', "{}", "1"
        )
        await backend.schedules.put(schedule)
    assert await queue.schedules() == []
    assert await queue.unschedule("forged")


async def test_a_job_that_can_not_be_opened_stops_no_other(
    memory: Memory, url: str, fleet: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = WorkQueue(memory, "jobs")
    async with open_memory(url, fleet=fleet) as stranger:
        jobs: Any = cast("Any", parts_of(stranger).backend).jobs
        await jobs.write([PutJob("jobs", "forged", b'"plain"', priority=-1, max_attempts=1)])
    await queue.put("fine")
    (job,) = await queue.claim(10)
    assert await job.ack() is None
    assert job.payload == "fine"
    assert "job forged: is stored in clear" in caplog.text
    with pytest.raises(DecryptionError, match="job forged"):
        await queue.dead()
    assert await queue.purge_dead(["forged"]) == 1


async def test_a_worker_without_the_new_key_loses_no_job(
    memory: Memory, url: str, fleet: str
) -> None:
    both = KeyRing.parse(f"{SECOND},{FIRST}")
    async with open_memory(url, fleet=fleet, keys=both) as newer:
        await WorkQueue(newer, "jobs").put("fine")
        with pytest.raises(DecryptionError, match=r"key 'second'.*add that key"):
            await WorkQueue(memory, "jobs").claim()
        (job,) = await WorkQueue(newer, "jobs").claim(wait=30)
        assert job.payload == "fine"
        await job.ack()


async def test_another_fleets_values_are_refused(memory: Memory, url: str, fleet: str) -> None:
    await memory.store("aqe/a", SECRET)
    async with open_memory(url, fleet=fleet) as stranger:
        (sealed,) = await parts_of(stranger).backend.read_payloads(["aqe/a"])
    assert sealed is not None
    async with open_memory(url, fleet=f"{fleet}-x") as stranger:
        await parts_of(stranger).backend.write([Put("aqe/a", as_bytes(sealed))], atomic=False)
    async with open_memory(url, fleet=f"{fleet}-x", keys=KEYS) as other:
        with pytest.raises(DecryptionError, match="aqe/a"):
            await other.retrieve("aqe/a")
        await erase(other)


async def test_whatever_reads_refuses_what_was_forged(memory: Memory, url: str, fleet: str) -> None:
    """Searches, scans, watches, copies and batches; who asks for other keys goes on."""
    await memory.store_many({"aqe/a": 1, "aqe/fine/a": 3})
    async with open_memory(url, fleet=fleet) as stranger:
        await parts_of(stranger).backend.write([Put("aqe/a", b"7")], atomic=False)
    async with open_memory("memory://") as target, memory.watch("*", "start") as changes:
        for asked in (
            memory.retrieve("aqe/a"),
            memory.entry("aqe/a"),
            memory.retrieve_many(["aqe/fine/a", "aqe/a"]),
            memory.search("*"),
            anext(aiter(memory.scan("aqe/"))),
            memory.increment("aqe/a"),
            memory.update("aqe/a", lambda value: value),
            transfer.copy(memory, target),
            transfer.digest(memory),
            _all(changes),
        ):
            with pytest.raises(DecryptionError, match="'aqe/a': is stored in clear"):
                await asked
    assert await memory.search("aqe/fine/*") == {"aqe/fine/a": 3}
    assert await memory.list_keys() == ["aqe/a", "aqe/fine/a"]
    await memory.store("aqe/a", 2)
    assert await memory.retrieve("aqe/a") == 2


async def _all(changes: Watch) -> None:
    async with asyncio.timeout(10):
        async for change in changes:
            assert change.key != "aqe/a"


async def test_who_has_no_keys_is_told_and_adds_up_nothing(
    memory: Memory, url: str, fleet: str
) -> None:
    await memory.store("aqe/a", 1)
    async with open_memory(url, fleet=fleet) as stranger:
        with pytest.raises(DecryptionError, match="open the memory with keys"):
            await stranger.retrieve("aqe/a")
        with pytest.raises((InvalidValueError, DecryptionError)):
            await stranger.increment("aqe/a")
    assert await memory.retrieve("aqe/a") == 1


async def test_what_servers_compute_on_plain_values_is_right_on_sealed_ones(
    memory: Memory,
) -> None:
    await memory.store("aqe/a", 1, ttl=600, partition="p")
    await asyncio.gather(*(memory.increment("aqe/a") for _ in range(40)))
    entry = await memory.entry("aqe/a")
    assert entry is not None
    assert (entry.value, entry.partition, entry.expires_at is None) == (41, "p", False)
    async with memory.transaction() as tx:
        tx.increment("aqe/a", 0.5)
        tx.increment("aqe/new", 2)
    assert await memory.retrieve_many(["aqe/a", "aqe/new"]) == {"aqe/a": 41.5, "aqe/new": 2}
    with pytest.raises(InvalidValueError, match="64 bits"):
        await memory.increment("aqe/new", 2**63 - 1)
    assert await memory.search("aqe/*", partition="p") == {"aqe/a": 41.5}


async def test_keys_change_while_in_use(memory: Memory, url: str, fleet: str) -> None:
    await memory.store("aqe/a", "old")
    both = KeyRing.parse(f"{SECOND},{FIRST}")
    async with open_memory(url, fleet=fleet, keys=both) as newer:
        assert await newer.retrieve("aqe/a") == "old"
        await newer.store("aqe/b", "new")
        with pytest.raises(DecryptionError, match=r"'aqe/b'.*key 'second'"):
            await memory.retrieve("aqe/b")
    async with open_memory(
        url, fleet=fleet, keys=KeyRing.parse(KeyRing.generate("first"))
    ) as wrong:
        with pytest.raises(DecryptionError, match=r"'aqe/a'.*another key") as refused:
            await wrong.retrieve("aqe/a")
        assert FIRST.partition(":")[2] not in str(refused.value)


async def test_a_url_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/memory.db?keys=MY_KEYS&synchronous=normal"
    with pytest.raises(ConfigurationError, match="MY_KEYS"):
        open_memory(url)
    monkeypatch.setenv("MY_KEYS", FIRST)
    async with open_memory(url) as memory:
        await memory.store("aqe/a", SECRET)
        assert await memory.retrieve("aqe/a") == SECRET
        assert memory.capabilities.encrypted
    assert SECRET.encode() not in await stored_bytes(f"sqlite:///{tmp_path}/memory.db")


@pytest.mark.parametrize(
    "text",
    ["", "x", "a:b", FIRST.partition(":")[2], f"{FIRST},{FIRST}", "ä:" + "A" * 43 + "="],
    ids=["nothing", "no key", "short", "no id", "twice", "no ASCII"],
)
def test_unusable_keys_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        KeyRing.parse(text)
    assert FIRST.partition(":")[2] not in str(refused.value)
    assert FIRST.partition(":")[2] not in repr(KEYS)


@pytest.mark.parametrize("options", ["keys=", "keys", "keys=A&keys=A", "k%65ys=A", "Keys=A"])
async def test_a_url_that_is_not_clear_about_keys_opens_nothing_in_clear(
    options: str, url: str
) -> None:
    with pytest.raises(AqeError):
        async with open_memory(f"{url}?{options}") as memory:
            await memory.store("aqe/a", SECRET)


@pytest.mark.postgres
async def test_a_class_that_takes_no_keys_from_its_url_does_not_open(postgres_url: str) -> None:
    with pytest.raises(AqeError, match="keys"):
        await PostgresMemory(f"{postgres_url}?keys=A").open()


@pytest.mark.redis
async def test_a_cache_holds_what_is_sealed(redis_url: str, tmp_path: Path, fleet: str) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with open_memory(url, cache=redis_url, fleet=fleet, keys=KEYS) as memory:
        await memory.store("aqe/a", SECRET)

        async def is_cached() -> bool:
            assert await memory.retrieve("aqe/a") == SECRET
            return (await memory.get_stats())["cache"]["hits"] > 0

        await until(is_cached)
    found = await stored_bytes(redis_url)
    assert b"~first~" in found
    assert SECRET.encode() not in found
    # Behind the cache, keys would leave it in clear.
    sealing = parts_of(open_memory(url, keys=KEYS)).backend
    with pytest.raises(ConfigurationError, match="give the keys to the memory with the cache"):
        HybridMemory(sealing, RedisCache.from_url(redis_url))


@settings(max_examples=300)
@given(
    payload=st.binary(min_size=1, max_size=80),
    cut=st.integers(0, 200),
    length=st.integers(0, 3),
    put=st.binary(max_size=4) | st.sampled_from([b"~", b"=", b"~second~", b"\xff"]),
)
def test_no_bytes_open_to_anything_else_than_was_sealed(
    payload: bytes, cut: int, length: int, put: bytes
) -> None:
    ring = KeyRing.parse(f"{FIRST},{SECOND}")
    place = place_of("fleet", "entry", "aqe/a")
    sealed = ring.seal(place, payload)
    assert ring.open(place, sealed) == payload
    assert ring.open(place, sealed.decode()) == payload
    assert ring.seal(place, payload) != sealed
    for other in ("aqe/", "aqe/a\0", "aqe/aa"):
        with pytest.raises(DecryptionError):
            ring.open(place_of("fleet", "entry", other), sealed)
    changed = sealed[:cut] + put + sealed[cut + length :]
    try:
        assert ring.open(place, changed) == payload
    except DecryptionError:
        assert changed != sealed
