"""One run: processes make a plan's calls, and what they and the servers hold is noted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tests.load.client import Client
from tests.load.samples import Samples

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from tests.load.plan import Plan
    from tests.load.systems import System

REPOSITORY = Path(__file__).parents[2]
# Processes import, join and fill before they are ready, all at once.
_READY, _END = 180.0, 60.0
_AHEAD = 0.5
_SAID = 2_000


@dataclass
class Run:
    """What came of a run.

    Attributes:
        samples: all calls.
        clients: what each process held, by its number: lists of samples by name.
        server: what the servers told, likewise.
        machine: processor time by whose it was, in processors, since the sample before.
        complaints: how processes ended that did not end well, and what they said.
    """

    samples: Samples
    clients: dict[int, dict[str, list[float]]]
    server: dict[str, list[float]]
    machine: dict[str, list[float]]
    complaints: list[str] = field(default_factory=list)


async def run_plan(plan: Plan, system: System, folder: Path) -> Run:
    """Run a plan; ``folder`` gets what the processes write."""
    fleet = f"load-{uuid.uuid4().hex[:12]}"
    # Made before its clients come, who would all make the schema at once.
    async with open_memory(system.url, fleet=fleet, timeout=60, cleanup_interval=None) as memory:
        await memory.store("aqe/load", 0)
    processes: list[Process] = []
    watched = _Watched(plan, system)
    try:
        for number in range(plan.processes):
            client = Client(system.url, system.cache, fleet, number, str(folder), plan.as_json())
            processes.append(await _start(client, folder))
        await _await_ready(processes, folder)
        began = time.monotonic() + _AHEAD
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{began}\n".encode())
        async with asyncio.TaskGroup() as group:
            group.create_task(watched.sample(processes, began))
            group.create_task(_await_end(processes, _AHEAD + plan.seconds + _END))
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(*(process.wait() for process in processes))
    complaints = [said for at, each in enumerate(processes) if (said := _said(at, each, folder))]
    return await asyncio.to_thread(_read, folder, watched, complaints)


def _read(folder: Path, watched: _Watched, complaints: list[str]) -> Run:
    # A process that did not end well may have left no names.
    whole = [path.with_suffix(".samples") for path in folder.glob("*.names")]
    clients = {
        int(path.stem.removeprefix("client-")): _columns(path)
        for path in sorted(folder.glob("*.health"))
    }
    return Run(
        Samples.read(whole), clients, columns(watched.server), columns(watched.machine), complaints
    )


async def _await_end(processes: list[Process], patience: float) -> None:
    """Wait until all have ended; kill those that don't, which is then complained of."""
    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(*(process.wait() for process in processes))
    except TimeoutError:
        for process in processes:
            if process.returncode is None:
                process.kill()


async def _start(client: Client, folder: Path) -> Process:
    with (folder / f"client-{client.process}.err").open("wb") as errors:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.load.client",
            json.dumps(asdict(client)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )


async def _await_ready(processes: list[Process], folder: Path) -> None:
    async with asyncio.timeout(_READY):
        for at, process in enumerate(processes):
            assert process.stdout is not None
            if await process.stdout.readline() != b"ready\n":
                await process.wait()
                raise RuntimeError(_said(at, process, folder))


def _said(at: int, process: Process, folder: Path) -> str:
    text = (folder / f"client-{at}.err").read_text(errors="replace").strip()
    # Warnings are no complaints; what nobody caught is.
    if process.returncode == 0 and "Traceback" not in text:
        return ""
    return f"process {at} ended with {process.returncode}: {text[-_SAID:]}"


def _columns(path: Path) -> dict[str, list[float]]:
    return columns([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return lists of samples by name; what a sample lacks is nan there."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, float("nan")) for row in rows] for name in names}


class _Watched:
    """The servers' figures, and whose processor time it was, over a run."""

    def __init__(self, plan: Plan, system: System) -> None:
        self._plan = plan
        self._system = system
        self.server: list[dict[str, float]] = []
        self.machine: list[dict[str, float]] = []

    async def sample(self, processes: list[Process], began: float) -> None:
        """Read them every so many seconds, for as long as there are processes."""
        clients = {process.pid for process in processes}
        before: dict[str, float] | None = None
        every = self._plan.every
        number = 0
        while number * every <= self._plan.seconds and any(
            process.returncode is None for process in processes
        ):
            await asyncio.sleep(max(0.0, began + number * every - time.monotonic()))
            number += 1
            at = time.monotonic() - began
            memory = {"memory of its processes": memory_of_servers(clients)}
            self.server.append({"at": at, **await self._system.figures(), **memory})
            used = {"at": at, **_processor_seconds(clients)}
            if before is not None:
                passed = at - before["at"]
                rates = {name: (used[name] - before[name]) / passed for name in used}
                self.machine.append({**rates, "at": at})
            before = used


def memory_of_servers(clients: set[int]) -> float:
    """Return the MiB of our children, but for clients, that no other process shares with them."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        if process.pid not in clients:
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                total += sum(int(line.split()[1]) for line in status.splitlines()
                             if line.startswith("RssAnon"))  # fmt: skip
    return total / 1024


def _processor_seconds(clients: set[int]) -> dict[str, float]:
    """Return the processor time that clients, servers and all others took so far."""
    used = {"clients": 0.0, "servers": 0.0}
    own = psutil.Process()
    for process in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            whose = "clients" if process.pid in clients else "servers"
            # With that of children which ended, as those of PostgreSQL that vacuum.
            used[whose] += times.user + times.system + times.children_user + times.children_system
    whole = psutil.cpu_times()
    busy = sum(whole) - whole.idle - getattr(whole, "iowait", 0.0) - getattr(whole, "guest", 0.0)
    mine = own.cpu_times()
    used["others"] = busy - sum(used.values()) - mine.user - mine.system
    return used
