"""Very many waiting jobs: what it costs to put and to claim one as the queue fills and empties.

Costs are processor time, which other programs on the machine don't change, and time by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from tests.load.verdicts import Verdict, windows_ratio
from tests.markdown import table

from lionagi_qe import open_memory
from lionagi_qe.bench.machine import describe_machine
from lionagi_qe.coordination import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from tests.load.systems import System

    from lionagi_qe.coordination import Job

# Jobs of one call to put, and of one claim; and those of a window, of which costs are noted.
_PUT, _CLAIMED = 500, 100
_WINDOWS = 100
# Calls made alone, while few and while all jobs wait.
_ALONE = 200
_FEW = 1_000
_LEASE = 300.0
_BY_THEMSELVES = ("autovacuum", "redis-aof-rewrite", "redis-rdb")
# Longer than all of it takes: results are removed later, many at once, whoever works then.
_RESULT_TTL = 3600.0
_PAYLOAD = {"file": "src/shop/cart.py", "reason": "changed", "text": "which tests it needs. " * 8}
_NAMES = {
    "put": "putting, end beside start",
    "claim": "claiming and acknowledging, end beside start",
}
_TITLES = {"put": "put_many of 500", "claim": "claim of 100, each acknowledged"}


@dataclass
class Backlog:
    """What filling and emptying a queue cost; JSON data.

    Attributes:
        backend: one of BACKENDS.
        jobs: how many waited at once.
        versions: of the servers.
        machine: what ``aqe bench`` tells of it, with the date and the command.
        windows: by "put" and "claim", of each stretch of the jobs: how many waited then, and
            microseconds of the server, of the client and of the clock for a job.
        alone: microseconds of processors for a call made alone, by its kind, with few jobs and
            with all.
        verdicts: what was judged.
    """

    backend: str
    jobs: int
    versions: str
    machine: dict[str, Any]
    windows: dict[str, list[dict[str, float]]]
    alone: dict[str, dict[str, float]]
    verdicts: list[Verdict] = field(default_factory=list)
    complaints: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.backend}-backlog"

    @property
    def size(self) -> str:
        """How large it was, in words."""
        return f"{self.jobs:,} jobs"

    @property
    def command(self) -> str:
        """What does the same again."""
        return f"make load BACKEND={self.backend} SCENARIO=backlog JOBS={self.jobs}"

    @property
    def busy(self) -> str:
        """What else the machine did, in words."""
        return f"{self.machine['load_average'][0]:.1f} programs wanted a core in the last minute"

    @property
    def failed(self) -> bool:
        """Whether something did not hold."""
        return not all(verdict.passed for verdict in self.verdicts)

    def write(self, path: Path) -> None:
        """Write it."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**data, "verdicts": [Verdict(**each) for each in data["verdicts"]]})


class _Costs:
    """Processor time of this process and of the servers that it started, and the clock's.

    Of the servers' processes those don't count that work on what is stored by themselves, now and
    then: PostgreSQL's autovacuum, and the copy of Redis that rewrites the append-only file.
    """

    def __init__(self) -> None:
        self._servers, self._client = _servers_seconds(), _own_seconds()
        self._clock = time.perf_counter()

    def since(self, count: int) -> dict[str, float]:
        """Return the microseconds for each of ``count`` since this was made."""
        servers = sum(
            seconds - self._servers.get(pid, 0.0) for pid, seconds in _servers_seconds().items()
        )
        clock = time.perf_counter() - self._clock
        found = {"server": servers, "client": _own_seconds() - self._client, "clock": clock}
        return {name: seconds * 1e6 / count for name, seconds in found.items()}


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _servers_seconds() -> dict[int, float]:
    """Return for how many seconds each process of the servers ran so far."""
    found: dict[int, float] = {}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if not any(each in " ".join(process.cmdline()) for each in _BY_THEMSELVES):
                found[process.pid] = _ran(process)
    return found


def _ran(process: psutil.Process) -> float:
    """Return the seconds that a process ran; by the kernel's nanoseconds, where it tells them."""
    schedule = Path(f"/proc/{process.pid}/schedstat")
    try:
        return int(schedule.read_text(encoding="ascii").split()[0]) / 1e9
    except FileNotFoundError:
        times = process.cpu_times()
        return times.user + times.system


async def measure(
    backend: str, system: System, jobs: int, tell: Callable[[str], object]
) -> Backlog:
    """Put ``jobs`` jobs, then claim and acknowledge all of them, in one process."""
    window = max(_PUT, jobs // _WINDOWS)
    windows: dict[str, list[dict[str, float]]] = {"put": [], "claim": []}
    alone: dict[str, dict[str, float]] = {"put": {}, "claim": {}}
    async with _queue(system) as queue:
        await _put(queue, _FEW)
        tell("calls with few jobs")
        await _measure_alone(queue, alone, "few")
        waiting = (await queue.stats()).ready
        while waiting < jobs:
            costs = _Costs()
            await _put(queue, window)
            windows["put"].append({"waiting": waiting, **costs.since(window)})
            waiting += window
            if len(windows["put"]) % 10 == 0:
                tell(f"put {waiting:,} of {jobs:,}")
        await _measure_alone(queue, alone, "all")
        while waiting >= window:
            costs = _Costs()
            await _work(queue, window)
            windows["claim"].append({"waiting": waiting, **costs.since(window)})
            waiting -= window
            if len(windows["claim"]) % 10 == 0:
                tell(f"{waiting:,} left")
    judged = [
        windows_ratio(
            f"{_NAMES[name]}, {how}",
            [sum(each[part] for part in parts) for each in windows[name]],
        )
        for name in windows
        for how, parts in (("by processors", ("server", "client")), ("by the clock", ("clock",)))
    ]
    return Backlog(backend, jobs, system.versions, describe_machine(), windows, alone, judged)


@asynccontextmanager
async def _queue(system: System) -> AsyncGenerator[WorkQueue]:
    fleet = f"load-{uuid.uuid4().hex[:12]}"
    async with open_memory(system.url, cache=system.cache, fleet=fleet, timeout=120) as memory:
        yield WorkQueue(memory, "load/backlog", result_ttl=_RESULT_TTL)


async def _put(queue: WorkQueue, count: int) -> None:
    for first in range(0, count, _PUT):
        await queue.put_many([_PAYLOAD] * min(_PUT, count - first))


async def _work(queue: WorkQueue, count: int) -> None:
    done = 0
    while done < count:
        jobs = await queue.claim(min(_CLAIMED, count - done), _LEASE)
        if not jobs:
            raise RuntimeError(f"{queue.name}: no job was ready though {count - done} should be")
        await asyncio.gather(*(job.ack() for job in jobs))
        done += len(jobs)


async def _measure_alone(queue: WorkQueue, alone: dict[str, dict[str, float]], when: str) -> None:
    """Note what a call costs that is made alone: as many are put as are claimed."""
    claimed: list[Job] = []

    async def put() -> None:
        await queue.put(_PAYLOAD)

    async def claim() -> None:
        claimed.extend(await queue.claim(1, _LEASE))

    for name, call in (("put", put), ("claim", claim)):
        alone[name][when] = await _cost_of(call)
    await asyncio.gather(*(job.ack() for job in claimed))


async def _cost_of(call: Callable[[], Awaitable[None]]) -> float:
    costs = _Costs()
    for _ in range(_ALONE):
        await call()
    found = costs.since(_ALONE)
    return found["server"] + found["client"]


def tables(found: Backlog) -> list[str]:
    """Return what a page shows of it."""
    ends: list[tuple[object, ...]] = []
    for name, windows in found.windows.items():
        size = max(round(len(windows) * 0.05), 1)
        for part, some in (("start", windows[:size]), ("end", windows[-size:])):
            middle = sorted(some, key=lambda each: each["server"] + each["client"])[len(some) // 2]
            ends.append((
                _TITLES[name], part, f"{middle['waiting']:,.0f}", f"{middle['server']:.1f}",
                f"{middle['client']:.1f}", f"{1e6 / middle['clock']:,.0f}",
            ))  # fmt: skip
    few, rows = f"{_FEW:,} waiting", []
    for name, told in found.alone.items():
        ratio = told["all"] / told["few"]
        rows.append(
            (f"{name}, one alone", f"{told['few']:.0f}", f"{told['all']:.0f}", f"{ratio:.2f}")
        )
    head = (
        "call",
        "at the",
        "jobs waiting",
        "server µs a job",
        "client µs a job",
        "jobs/s by the clock",
    )
    return [
        *table(head, ends),
        "",
        *table(("µs of processors", few, f"{found.jobs:,} waiting", "ratio"), rows),
    ]


def draw(found: Backlog, path: Path) -> None:
    """Draw costs over the number of jobs that wait."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, (name, windows) in zip(panels, found.windows.items(), strict=True):
        for part, colour in (("server", "#1f6feb"), ("client", "#3fb950"), ("clock", "#8b949e")):
            at = [each["waiting"] for each in windows]
            axes.plot(at, [each[part] for each in windows], label=part, color=colour)
        axes.set_title(_TITLES[name], fontsize=9)
        axes.set_xlabel("jobs waiting")
        axes.set_ylabel("µs a job")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
    panels[1].invert_xaxis()
    figure.suptitle(f"{found.versions}: {found.jobs:,} jobs", fontsize=10)
    figure.savefig(path, dpi=90)
