"""What an attacker at the store itself finds, and what becomes of what he changes there."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import apsw
import asyncpg
import pytest
import redis.asyncio
from tests.backends import on, url_of

from lionagi_qe import ConfigurationError, DecryptionError, KeyRing, Memory, open_memory
from lionagi_qe.coordination import Lease, Presence, WorkQueue
from lionagi_qe.persistence import transfer
from lionagi_qe.persistence.contract import Put
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

FIRST, SECOND = KeyRing.generate("first"), KeyRing.generate("second")
KEYS = KeyRing.parse(FIRST)
SECRET = "the-secret-of-the-fleet"


@pytest.fixture(params=on("sqlite", "postgresql", "redis"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


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
            for table in ("entries", "jobs", "leases")
        ]
        await connection.close()
        return "".join(rows).encode()
    async with redis.asyncio.from_url(url) as client:
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
    await job.ack(SECRET)
    (job,) = await queue.claim(wait=10)
    await job.fail(SECRET, retry=False)
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
    assert [dead.error for dead in await queue.dead()] == [SECRET]
    await lease.release()
    await queue.purge_dead()


async def test_changed_and_exchanged_values_are_refused_by_name(
    memory: Memory, url: str, fleet: str
) -> None:
    """The attacker writes the server's rows: a memory without keys stores any bytes as they are."""
    await memory.store_many({"aqe/a": 1, "aqe/b": 2, "aqe/fine": 3})
    stranger = open_memory(url, fleet=fleet)
    async with stranger:
        backend: Any = parts_of(stranger).backend
        one, two = (
            text.encode() if isinstance(text, str) else text
            for text in await backend.read_payloads(["aqe/a", "aqe/b"])
        )
        flipped = one[:-5] + (b"A" if one[-5:-4] != b"A" else b"B") + one[-4:]
        for bad in (two, flipped, b"1", b'"plain"', b"~first~", b"~other~AAAA", b"~first~!!", b"~"):
            await backend.write([Put("aqe/a", bad)], atomic=False)
            with pytest.raises(DecryptionError, match="aqe/a"):
                await memory.retrieve("aqe/a")
            with pytest.raises(DecryptionError, match="aqe/a"):
                await memory.entry("aqe/a")
            with pytest.raises(DecryptionError, match="aqe/a"):
                await memory.search("aqe/*")
            with pytest.raises(DecryptionError, match="aqe/a"):
                await memory.increment("aqe/a")
            # Whoever asks for another key at the same moment is not concerned.
            answers = await asyncio.gather(
                memory.retrieve("aqe/a"), memory.retrieve("aqe/fine"), return_exceptions=True
            )
            assert isinstance(answers[0], DecryptionError)
            assert answers[1] == 3
        with pytest.raises(DecryptionError, match="open the memory with keys"):
            await stranger.retrieve("aqe/b")
        # Another fleet's.
        async with open_memory(url, fleet=f"{fleet}-x", keys=KEYS) as other:
            inner: Any = parts_of(other).backend
            await inner._inner.write([Put("aqe/a", one)], atomic=False)
            with pytest.raises(DecryptionError, match="aqe/a"):
                await other.retrieve("aqe/a")
            await other.delete("aqe/a")


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


async def test_an_export_in_clear_has_to_be_asked_for(memory: Memory, tmp_path: Path) -> None:
    await memory.store("aqe/a", SECRET)
    with pytest.raises(ConfigurationError, match="in_clear"):
        await transfer.export(memory, tmp_path / "a.jsonl")
    await transfer.export(memory, tmp_path / "a.jsonl", in_clear=True)
    assert SECRET in (tmp_path / "a.jsonl").read_text()


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
    "text", ["", "x", "a:b", FIRST.partition(":")[2], f"{FIRST},{FIRST}", "ä:" + "A" * 43 + "="]
)
def test_unusable_keys_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        KeyRing.parse(text)
    assert FIRST.partition(":")[2] not in str(refused.value)
    assert FIRST.partition(":")[2] not in repr(KEYS)
