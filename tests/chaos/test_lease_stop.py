"""A holder that was stopped for longer than its lease can change nothing when it goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import uuid
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import Lease, WorkQueue

if TYPE_CHECKING:
    from asyncio.subprocess import Process

HOLDER = Path(__file__).with_name("lease_holder.py")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres_url", marks=pytest.mark.postgres),
        pytest.param("redis_url", marks=pytest.mark.redis),
        pytest.param("redis_cluster_url", marks=pytest.mark.redis),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'memory.db'}"
    return str(request.getfixturevalue(request.param))


async def ask(holder: Process) -> dict[str, int]:
    """Return what became of the holder's attempts to write since it was last asked."""
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"\n")
    outcomes: dict[str, Any] = json.loads(await holder.stdout.readline())
    return outcomes


async def test_a_stopped_holder_overwrites_nothing_of_its_successor(url: str) -> None:
    fleet = f"stop-{uuid.uuid4().hex[:12]}"
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        queue = WorkQueue(memory, "jobs")
        job_id = await queue.put("job")
        holder = await asyncio.create_subprocess_exec(
            sys.executable, str(HOLDER), url, fleet, stdin=PIPE, stdout=PIPE
        )
        assert holder.stdout is not None
        try:
            first = int(await holder.stdout.readline())
            while (await ask(holder)).keys() != {"store: done", "delete: done"}:
                await asyncio.sleep(0.01)
            assert await memory.retrieve("aqe/owned") == "first"

            holder.send_signal(signal.SIGSTOP)
            async with (
                Lease(memory, "leader", ttl=60) as lease,
                Lease(memory, "body", ttl=60),
            ):
                assert lease.token > first
                written = await memory.store("aqe/owned", "second", fence=lease)
                holder.send_signal(signal.SIGCONT)
                outcomes = await ask(holder)
                entry = await memory.entry("aqe/owned")
        finally:
            holder.kill()
            await holder.wait()
        assert entry is not None
        assert (entry.value, entry.revision) == ("second", written)
        assert outcomes.pop("ack: StaleFenceError") == 1
        assert outcomes.pop("body: LeaseLostError") == 1
        # What it had sent before it was stopped may have been answered since.
        assert outcomes.pop("store: done", 0) <= 1
        assert outcomes.pop("delete: done", 0) <= 1
        assert outcomes.keys() <= {"store: StaleFenceError", "delete: StaleFenceError"}
        assert (await queue.stats()).claimed == 1
        assert job_id
