"""Transfers over every backend, on real servers; killed on the way and resumed."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from tests import prefork
from tests.backends import on_every_backend

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.transfer import Tally, compare, copy
from lionagi_qe.testing.conformance.transfer import TransferConformance

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.persistence import Memory

pytestmark = pytest.mark.integration

# As ``make bench`` does.
FULL = os.environ.get("AQE_BENCH_FULL", "0") not in {"", "0"}
COUNT = 1_000_000 if FULL else 20_000
SECONDS = 3_600 if FULL else 300

PROGRAM = """
import asyncio, sys
from lionagi_qe import open_memory
from lionagi_qe.persistence.transfer import copy

async def main(source, target, fleet, checkpoint):
    async with open_memory(source, fleet=fleet) as a, open_memory(target, fleet=fleet) as b:
        await copy(a, b, checkpoint=checkpoint, page_size=500,
                   progress=lambda tally: print(tally.read, flush=True))

asyncio.run(main(*sys.argv[1:]))
"""


globals().update(on_every_backend(TransferConformance, {"cluster": {"ordered": False}}))


async def fill(memory: Memory, count: int) -> None:
    dice = random.Random(1)
    numbers = list(range(count))
    dice.shuffle(numbers)
    for start in range(0, count, 1_000):
        some = {
            f"aqe/tests/{number:07}": {"runs": number, "name": f"test_{number}", "tags": ["a"] * 3}
            for number in numbers[start : start + 1_000]
        }
        ttl = 3_600 if start % 5_000 == 0 else None
        await memory.store_many(some, ttl=ttl, partition=f"p{start // 1_000 % 4}")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.postgres
@pytest.mark.redis
async def test_a_chain_of_copies_killed_twice_a_hop_and_resumed_verifies_equal(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    count, fleet = COUNT, f"chain-{random.randrange(1 << 40)}"
    urls = [
        f"sqlite:///{tmp_path / 'first.db'}",
        postgres_url,
        redis_url,
        f"sqlite:///{tmp_path / 'last.db'}",
    ]
    async with open_memory(urls[0], fleet=fleet) as first:
        await fill(first, count)
    for hop, (source, target) in enumerate(itertools.pairwise(urls)):
        checkpoint = tmp_path / f"checkpoint-{hop}"
        seen: list[int] = []
        for kill_at in (count // 4, count // 2, None):
            process = await prefork.start(
                "code", PROGRAM, source, target, fleet, checkpoint, stderr=None
            )
            assert process.stdout is not None
            first_read = 0
            while line := await process.stdout.readline():
                first_read = first_read or int(line)
                if kill_at is not None and int(line) >= kill_at:
                    process.kill()
                    break
            await process.wait()
            seen.append(first_read)
            assert (process.returncode == 0) == (kill_at is None)
        # Each went on where the one before had come to.
        assert seen[0] == 500
        assert seen[1] > count // 4
        assert seen[2] > count // 2
        assert not checkpoint.exists()
    async with open_memory(urls[0], fleet=fleet) as first:
        for url in urls[1:]:
            async with open_memory(url, fleet=fleet) as other:
                found = await compare(first, other)
                assert found.equal, found.first
                assert found.target.entries == count
                for name in range(4):
                    await other.clear_partition(f"p{name}", timeout=SECONDS)


async def test_a_checkpoint_of_another_transfer_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    async with open_memory("memory://") as source, open_memory("memory://") as target:
        await source.store("aqe/a", 1)
        checkpoint.write_text("{}")
        with pytest.raises(errors.ConfigurationError, match="no checkpoint"):
            await copy(source, target, checkpoint=checkpoint)
        what = {"source": "another", "target": "another", "pattern": "*", "partition": None}
        tally = {"read": 1, "stored": 1}
        checkpoint.write_text(json.dumps({"what": what, "position": "s1:1:0", "tally": tally}))
        with pytest.raises(errors.ConfigurationError, match=r"another transfer .*source, target"):
            await copy(source, target, checkpoint=checkpoint)
        assert await target.list_keys() == []


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.postgres
@pytest.mark.redis
async def test_speed_of_copying(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    """Prints entries a second for each hop; judges nothing but the outcome."""
    count, fleet = COUNT, f"speed-{random.randrange(1 << 40)}"
    urls = [f"sqlite:///{tmp_path / 'a.db'}", postgres_url, redis_url, "memory://"]
    memories = [await open_memory(url, fleet=fleet, cleanup_interval=None).open() for url in urls]
    await fill(memories[0], count)
    for source, target in itertools.pairwise(memories):
        start = time.perf_counter()
        tally = await copy(source, target)
        rate = count / (time.perf_counter() - start)
        assert tally == Tally(count, count, 0, 0, tally.payload_bytes)
        names = source.capabilities.name, target.capabilities.name
        print(f"copy {names[0]} -> {names[1]}: {rate:,.0f} entries/s")
    for memory in memories:
        for name in range(4):
            await memory.clear_partition(f"p{name}", timeout=SECONDS)
        await memory.close()
