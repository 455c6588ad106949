"""``aqe doctor`` on real servers: what it sees of them, and what it says."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.cli.doctor import doctor as command
from lionagi_qe.persistence.encryption.keys import KeyRing
from lionagi_qe.persistence.inspection import clock_skew, inspect, probe
from lionagi_qe.persistence.postgres import inspection

pytestmark = pytest.mark.integration


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@dataclass
class Done:
    code: int
    output: str


async def doctor(*words: str) -> Done:
    """Call the command, in a thread: it has an event loop of its own."""
    runner = CliRunner()
    done = await asyncio.to_thread(
        runner.invoke, command, words, standalone_mode=False, catch_exceptions=False
    )
    return Done(done.return_value, done.output)


async def test_it_sees_the_health_of_every_server(url: str) -> None:
    fleet = f"doctor-{uuid.uuid4().hex[:12]}"
    done = await doctor(url, "--fleet", fleet, "--json")
    assert done.code == 0, done.output
    facts = json.loads(done.output)
    assert facts["store_ms"] > 0
    assert abs(facts["clock_skew_ms"]) <= facts["clock_error_ms"] + 1
    assert len(facts["advice"]) == len(facts["findings"])
    assert {finding["level"] for finding in facts["findings"]} <= {"advice", "problem"}


async def test_figures_come_from_the_server(url: str) -> None:
    memory = open_memory(url, fleet=f"doctor-{uuid.uuid4().hex[:12]}")
    probed = await probe(memory)
    async with memory:
        figures = await inspect(memory)
        skew, error = await clock_skew(memory)
        name = memory.capabilities.name
    assert abs(skew) <= error + 1
    if name == "postgresql":
        assert probed == {"system": "PostgreSQL", "lacking": {}}
        assert 0 < figures["connections"] < figures["usable_connections"]
        assert {table["table"] for table in figures["tables"]} >= {"entries", "jobs"}
        assert figures["bytes"] > 0
        assert figures["revisions_cached"] == 1
    elif name == "redis":
        assert all(server["used_memory"] > 0 for server in figures["servers"])
        assert all(server["maxclients"] > 0 for server in figures["servers"])
    else:
        assert figures["bytes"] > figures["free_bytes"] >= 0
        assert figures["disk_free_bytes"] > 0
    if name != "postgresql":
        assert probed == {}


async def test_an_encrypted_memory_is_unfit_without_its_keys_which_are_named(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, keys = f"doctor-{uuid.uuid4().hex[:12]}", KeyRing.generate("autumn")
    async with open_memory(url, fleet=fleet, keys=KeyRing.parse(keys)) as memory:
        await memory.store("aqe/a", "secret")
        blind = await doctor(url, "--fleet", fleet)
        assert blind.code == 3
        assert "encrypted, by the key 'autumn', and no keys were given" in blind.output
        assert blind.output.endswith("unfit for use\n")
        assert await memory.list_keys() == ["aqe/a"]
    named = f"{url}{'&' if '?' in url else '?'}keys=DOCTOR_KEYS"
    monkeypatch.setenv("DOCTOR_KEYS", keys)
    seeing = await doctor(named, "--fleet", fleet)
    assert seeing.code == 0, seeing.output
    monkeypatch.setenv("DOCTOR_KEYS", KeyRing.generate("winter"))
    other = await doctor(named, "--fleet", fleet)
    assert other.code == 3
    assert "sealed by the key 'autumn', which is none of 'winter'" in other.output
    assert keys.partition(":")[2] not in f"{blind}{seeing}{other}"


async def test_a_problem_fails_who_is_strict(redis_url: str) -> None:
    client: Any = Redis.from_url(redis_url)
    async with client:
        before = await client.config_get("maxmemory*")
        try:
            await client.config_set("maxmemory", "4gb")
            await client.config_set("maxmemory-policy", "allkeys-lru")
            # One after the other: what runs the command takes the output of all threads.
            patient = await doctor(redis_url)
            strict = await doctor(redis_url, "--strict")
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                await client.config_set(name, before[name])
    assert (patient.code, strict.code) == (0, 1)
    assert "! maxmemory-policy is allkeys-lru, maxmemory 4.0 GiB: Redis may evict" in strict.output


async def test_a_sequence_that_hands_revisions_out_in_advance_is_unfit(postgres_url: str) -> None:
    schema = f"doctor_{uuid.uuid4().hex[:12]}"
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={schema}"
    assert (await doctor(url)).code == 0
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f'ALTER SEQUENCE "{schema}".revisions CACHE 50')
        done = await doctor(url)
    finally:
        await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        await connection.close()
    assert done.code == 3
    assert "x the sequence of revisions has CACHE 50" in done.output


async def test_advisory_locks_that_lock_nothing_are_found(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on servers that have the function for the sake of compatibility.
    monkeypatch.setattr(inspection, "_TAKE_LOCK", "SELECT 1")
    memory = open_memory(postgres_url)
    probed = await probe(memory)
    await memory.close()
    assert probed["lacking"] == {"advisory locks": "two connections got the same lock"}


async def test_sequences_that_hand_numbers_out_in_advance_whatever_they_are_told_are_found(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As YugabyteDB does.
    ahead = inspection._MAKE_SEQUENCE.replace("CACHE 1", "CACHE 100")
    monkeypatch.setattr(inspection, "_MAKE_SEQUENCE", ahead)
    memory = open_memory(postgres_url)
    probed = await probe(memory)
    await memory.close()
    assert probed["lacking"] == {"sequences in order": "one with CACHE 1 was made with CACHE 100"}


async def test_whoever_can_not_do_what_is_needed_is_told_before_anything_is_made(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = "LISTEN and NOTIFY"
    monkeypatch.setitem(inspection._NEEDED, needed, ("HEARKEN aqe_doctor",))
    memory = open_memory(postgres_url)
    probed = await probe(memory)
    await memory.close()
    assert list(probed["lacking"]) == [needed]
    assert "syntax error" in probed["lacking"][needed]
    schema = f"doctor_{uuid.uuid4().hex[:12]}"
    done = await doctor(f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={schema}")
    assert done.code == 3
    assert f"x PostgreSQL has no {needed}" in done.output
    connection = await asyncpg.connect(postgres_url)
    made = await connection.fetchval("SELECT to_regnamespace($1)::text", schema)
    await connection.close()
    assert made is None
