"""A memory is sealed anew by another key while it is used; killed on the way, it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from tests import programs
from tests.backends import on, url_of

from lionagi_qe import ConfigurationError, KeyRing, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence import transfer
from lionagi_qe.persistence.contract import Put
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lionagi_qe import Memory

FIRST, SECOND = KeyRing.generate("first"), KeyRing.generate("second")
OLD, NEW = KeyRing.parse(f"{FIRST},{SECOND}"), KeyRing.parse(f"{SECOND},{FIRST}")
# Kills itself once the first page is sealed.
KILLED = """
import asyncio, os, signal, sys
from lionagi_qe import open_memory
from lionagi_qe.persistence import transfer

async def main():
    async with open_memory(sys.argv[1], fleet=sys.argv[2]) as memory:
        kill = lambda passed: os.kill(os.getpid(), signal.SIGKILL)
        await transfer.rekey(memory, progress=kill, page_size=100)

asyncio.run(main())
"""


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"rekeyed-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def memory(url: str, fleet: str) -> AsyncGenerator[Memory]:
    """A memory whose entries were sealed by the older key, opened by who seals by the newer."""
    async with open_memory(url, fleet=fleet, keys=OLD) as older:
        await older.store_many({f"aqe/n/{at:03}": at for at in range(250)})
        await older.store("aqe/kept", 1, ttl=600, partition="p")
    async with open_memory(url, fleet=fleet, keys=NEW) as memory:
        yield memory
        await erase(memory)


async def test_a_memory_in_use_is_sealed_by_the_newer_key(
    memory: Memory, url: str, fleet: str
) -> None:
    passed: list[int] = []
    rekeying = asyncio.create_task(transfer.rekey(memory, progress=passed.append, page_size=50))
    await asyncio.gather(*(memory.increment(f"aqe/n/{at:03}", 1000) for at in range(250)))
    done = await rekeying
    assert done.complete
    assert (done.key, done.entries) == ("second", 251)
    assert 1 <= done.sealed <= 251
    assert max(passed) == 251
    again = await transfer.rekey(memory)
    assert (again.sealed, again.entries) == (0, 251)
    async with open_memory(url, fleet=fleet, keys=KeyRing.parse(SECOND)) as newest:
        found = await newest.search("aqe/n/*")
        assert list(found.values()) == [at + 1000 for at in range(250)]
        entry = await newest.entry("aqe/kept")
        assert entry is not None
        assert (entry.value, entry.partition, entry.expires_at is None) == (1, "p", False)


async def test_who_still_seals_by_the_older_key_is_found_out(
    memory: Memory, url: str, fleet: str
) -> None:
    async def store() -> None:
        async with open_memory(url, fleet=fleet, keys=OLD) as older:
            await older.store("aqe/late", 1)

    def seal(_: int) -> None:
        thread = threading.Thread(target=asyncio.run, args=(store(),))
        thread.start()
        thread.join()

    done = await transfer.rekey(memory, progress=seal)
    assert not done.complete
    assert (done.left, done.refused) == (1, 0)


async def test_what_can_not_be_opened_is_told_and_left(
    memory: Memory, url: str, fleet: str
) -> None:
    async with open_memory(url, fleet=fleet) as stranger:
        forged = [Put(f"aqe/forged/{at:02}", b"1") for at in range(30)]
        await parts_of(stranger).backend.write(forged, atomic=False)
    done = await transfer.rekey(memory)
    assert (done.complete, done.entries, done.refused, len(done.first)) == (False, 251, 30, 20)
    assert done.first[0].startswith("'aqe/forged/00': is stored in clear")
    async with open_memory(url, fleet=fleet) as stranger:
        assert await stranger.retrieve("aqe/forged/00") == 1


async def test_only_the_whole_of_a_memory_with_keys_is_sealed_anew(memory: Memory) -> None:
    with pytest.raises(ConfigurationError, match="with keys"):
        await transfer.rekey(memory.scoped("agent", write=["*"]))
    async with open_memory("memory://") as plain:
        with pytest.raises(ConfigurationError, match="with keys"):
            await transfer.rekey(plain)


async def test_a_killed_rekeying_goes_on(
    url: str, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD_KEYS", FIRST)
    monkeypatch.setenv("NEW_KEYS", f"{SECOND},{FIRST}")
    async with open_memory(f"{url}?keys=OLD_KEYS", fleet=fleet) as memory:
        await memory.store_many({f"aqe/n/{at:03}": at for at in range(250)})
        await WorkQueue(memory, "jobs").put("old")
    newer = f"{url}?keys=NEW_KEYS"
    code = await asyncio.to_thread(_killed, newer, fleet)
    assert code == -signal.SIGKILL
    call = (*programs.AQE, "memory", "rekey", newer, "--fleet", fleet)
    code, said, complaints = await asyncio.to_thread(programs.call, *call, "--json")
    assert (code, complaints) == (0, "")
    facts = json.loads(said)
    assert (facts["sealed"], facts["entries"], facts["complete"]) == (150, 250, True)
    # The payload of the job; perhaps before it was killed already.
    assert facts["texts"] == 1
    code, said, _ = await asyncio.to_thread(programs.call, *call)
    assert code == 0
    assert "sealed 0 entries anew by the key 'second', and 0 texts" in said
    assert "verified: all 250 entries and 1 texts were opened by it" in said
    monkeypatch.setenv("ONLY_NEW", SECOND)
    async with open_memory(f"{url}?keys=ONLY_NEW", fleet=fleet) as memory:
        assert len(await memory.search("*")) == 250
        (job,) = await WorkQueue(memory, "jobs").claim()
        assert job.payload == "old"
        await erase(memory)


def _killed(url: str, fleet: str) -> int:
    return subprocess.run([sys.executable, "-c", KILLED, url, fleet], check=False).returncode


async def test_a_rekeying_that_is_not_complete_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with open_memory(url) as plain:
        await plain.store("aqe/a", 1)
    code, _, complaints = programs.call(*programs.AQE, "memory", "rekey", url)
    assert (code, "keys=VARIABLE" in complaints) == (2, True)
    monkeypatch.setenv("KEYS", FIRST)
    code, said, _ = programs.call(*programs.AQE, "memory", "rekey", f"{url}?keys=KEYS")
    assert code == 1
    assert "'aqe/a': is stored in clear" in said
    assert os.environ["KEYS"] not in said
