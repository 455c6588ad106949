"""A holder that was stopped for longer than its lease can change nothing when it goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import prefork
from tests.backends import on, url_of

from lionagi_qe import BackendUnavailableError, Memory, open_memory
from lionagi_qe.coordination import Lease, WorkQueue

if TYPE_CHECKING:
    from asyncio.subprocess import Process

HOLDER = Path(__file__).with_name("lease_holder.py")


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


async def ask(holder: Process) -> dict[str, int]:
    """Return what became of the holder's attempts to write since it was last asked."""
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"\n")
    outcomes: dict[str, Any] = json.loads(await holder.stdout.readline())
    return outcomes


async def stop_between_writes(holder: Process, memory: Memory) -> None:
    """Stop the holder, but not inside a SQLite transaction, where it would block all writers."""
    while True:
        holder.send_signal(signal.SIGSTOP)
        try:
            await memory.store("aqe/probe", 1, timeout=0.3)
        except BackendUnavailableError:
            holder.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_stopped_holder_overwrites_nothing_of_its_successor(url: str) -> None:
    refused = {f"{what}: StaleFenceError" for what in ("store", "delete", "ack")}
    fleet = f"stop-{uuid.uuid4().hex[:12]}"
    async with open_memory(url, fleet=fleet, timeout=30) as memory:
        queue = WorkQueue(memory, "jobs")
        await queue.put("job")
        holder = await prefork.start("script", HOLDER, url, fleet, stdin=PIPE, stderr=None)
        assert holder.stdout is not None
        try:
            first = int(await holder.stdout.readline())
            assert (await ask(holder)).keys() == {"store: done", "delete: done"}
            assert await memory.retrieve("aqe/owned") == "first"

            await stop_between_writes(holder, memory)
            async with (
                Lease(memory, "leader", ttl=60) as lease,
                Lease(memory, "body", ttl=60),
            ):
                assert lease.token > first
                written = await memory.store("aqe/owned", "second", fence=lease)
                holder.send_signal(signal.SIGCONT)
                outcomes = await ask(holder)
                later = await ask(holder)
                entry = await memory.entry("aqe/owned")
        finally:
            holder.kill()
            await holder.wait()
        assert entry is not None
        assert (entry.value, entry.revision) == ("second", written)
        # What it had done, it had done before it was stopped.
        assert outcomes["body: LeaseLostError"] == 1
        assert refused <= outcomes.keys()
        assert later.keys() == refused
        assert (await queue.stats()).claimed == 1
        assert (await queue.stats()).done == 0
