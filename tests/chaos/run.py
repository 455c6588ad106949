"""One run: clients load a memory while a plan's faults happen; then all is read and judged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
import uuid
from asyncio.subprocess import PIPE
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import prefork
from tests.chaos.client_process import TIMEOUT
from tests.chaos.clocks import clock_of, remove_clock, set_clock
from tests.chaos.fault_plan import CLOCK_JUMP, CLOCKS_OFF
from tests.chaos.recorded_load import QUEUE, Client
from tests.chaos.recorded_watch import MOST_PATIENCE, Watcher

from lionagi_qe import Memory, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.coordination.presence import PREFIX
from lionagi_qe.testing.history import Judgement, Promises, Recorder, judge, read_history

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from tests.chaos.fault_plan import Fault, Plan
    from tests.chaos.systems import System

    from lionagi_qe.testing.history import History

REPOSITORY = Path(__file__).parents[2]
# Until the jobs that are left are done, whose leases have to end first; and until a client ends.
_START, _DRAIN, _END = 120.0, 60.0, 90.0
# In all shards of a cluster, behind all other changes.
_LAST = [f"aqe/{name}/end" for name in "abcdefghijklmnopqrstuvwxyz"]


@dataclass
class _Child:
    """A client process, and the ones that took its place."""

    name: str
    module: str
    process: Process
    incarnation: int = 1

    @property
    def known_as(self) -> str:
        return f"{self.name}.{self.incarnation}"


class Run:
    """A run of a plan on a system; its history goes to a folder."""

    def __init__(self, plan: Plan, system: System, folder: Path) -> None:
        self._plan = plan
        self._system = system
        self._folder = folder
        self._fleet = f"chaos-{uuid.uuid4().hex[:12]}"
        self._began = time.monotonic()
        self._recorder = Recorder(folder / "main.jsonl", "main")
        self._children: list[_Child] = []
        self._started: list[int] = []
        self.complaints: list[str] = []

    async def __call__(self) -> None:
        with self._recorder:
            # Made before its clients come, who would all make the schema at once.
            async with self._memory() as memory:
                await memory.store("aqe/begin", 0)
            try:
                await self._start()
                await self._load()
                await self._settle()
            finally:
                for child in self._children:
                    _signal(child.process, signal.SIGKILL)
                await asyncio.gather(*(child.process.wait() for child in self._children))
                for process in self._started:
                    remove_clock(process)

    def _memory(self) -> Memory:
        return open_memory(
            self._system.direct, fleet=self._fleet, timeout=20, cleanup_interval=None
        )

    # Processes

    def _clock_of(self, name: str) -> Path | None:
        """Return the file that says by how much a client's clock is off, None where it is right."""
        clock, path = self._plan.clocks[int(name[1:])], self._folder / f"{name}.clock"
        if not (clock or self._plan.has(CLOCK_JUMP)):
            return None
        set_clock(path, clock)
        return path

    async def _start(self) -> None:
        # First, so that it has to tell all that they do.
        self._children = [await self._watcher(1, None)]
        await self._await_ready()
        names = [f"c{at}" for at in range(len(self._plan.clocks))]
        self._children += await asyncio.gather(*(self._client(name, 1) for name in names))
        await self._await_ready()

    async def _await_ready(self) -> None:
        """Wait until all processes record, and the watch has begun."""
        async with asyncio.timeout(_START):
            for child in self._children:
                await self._await_file(child)
            watcher = self._children[0]
            while _last_cursor([self._file_of(watcher)]) is None:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.05)

    async def _await_file(self, child: _Child) -> None:
        while not self._file_of(child).exists():  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.02)

    def _file_of(self, child: _Child) -> Path:
        return self._folder / f"{child.known_as}.jsonl"

    async def _client(self, name: str, incarnation: int) -> _Child:
        known_as = f"{name}.{incarnation}"
        client = Client(
            self._system.url,
            self._system.cache,
            self._fleet,
            known_as,
            str(self._folder / f"{known_as}.jsonl"),
            f"{self._plan.seed} {known_as}",
            self._began,
            self._plan.weights,
        )
        process = await self._spawn("tests.chaos.recorded_load", client, self._clock_of(name))
        return _Child(name, "tests.chaos.recorded_load", process, incarnation)

    async def _watcher(self, incarnation: int, since: str | None) -> _Child:
        known_as = f"w.{incarnation}"
        watcher = Watcher(
            self._system.url, self._fleet, known_as, str(self._folder / f"{known_as}.jsonl"), since
        )
        process = await self._spawn("tests.chaos.recorded_watch", watcher, None)
        return _Child("w", "tests.chaos.recorded_watch", process, incarnation)

    async def _spawn(self, module: str, configuration: Any, clock: Path | None) -> Process:
        with (self._folder / f"{configuration.process}.err").open("wb") as errors:
            process = await prefork.start(
                "module",
                module,
                json.dumps(asdict(configuration)),
                stdin=PIPE,
                stderr=errors.fileno(),
                cwd=REPOSITORY,
                env=clock_of(clock),
            )
        self._started.append(process.pid)
        return process

    async def _replace(self, child: _Child) -> None:
        """Kill a process and start one in its place."""
        _signal(child.process, signal.SIGKILL)
        if (code := await child.process.wait()) != -signal.SIGKILL:
            self._complain(child, code)
        at = self._children.index(child)
        if child.name == "w":
            since = _last_cursor(sorted(self._folder.glob("w.*.jsonl")))
            self._children[at] = await self._watcher(child.incarnation + 1, since)
        else:
            self._children[at] = await self._client(child.name, child.incarnation + 1)
            # What it had sent has arrived by the time at which another is up.
            async with asyncio.timeout(_START):
                await self._await_file(self._children[at])
        for group, agent in self._members(child.known_as):
            self._recorder.note("gone", {"group": group, "agent": agent})

    def _members(self, known_as: str) -> set[tuple[str, str]]:
        history = read_history(self._folder.glob(f"{known_as}.jsonl"))
        return {(each.arguments["group"], each.arguments["agent"]) for each in history.of("join")}

    # Faults

    async def _load(self) -> None:
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for target in {fault.target for fault in self._plan.faults}:
                faults = [fault for fault in self._plan.faults if fault.target == target]
                group.create_task(self._inflict(faults))
            await asyncio.sleep(self._plan.seconds)

    async def _inflict(self, faults: list[Fault]) -> None:
        for fault in faults:
            await asyncio.sleep(max(0.0, self._began + fault.begins - time.monotonic()))
            told = {"kind": fault.kind, "target": fault.target, "choice": fault.choice}
            if fault.target == "clients":
                doing = self._disturb_client(fault)
            else:
                doing = self._system.targets[fault.target].inflict(fault)
            answer = await self._recorder.call("fault", told, doing)
            if answer.error is not None:
                raise answer.error

    async def _disturb_client(self, fault: Fault) -> None:
        is_watcher = fault.kind.endswith("watcher")
        children = [child for child in self._children if (child.name == "w") == is_watcher]
        child = children[fault.choice % len(children)]
        if fault.kind == CLOCK_JUMP:
            clock = self._plan.clocks[int(child.name[1:])]
            path = self._folder / f"{child.name}.clock"
            set_clock(path, clock + CLOCKS_OFF[fault.choice % len(CLOCKS_OFF)])
            await asyncio.sleep(fault.lasts)
            set_clock(path, clock)
            return
        if fault.kind.startswith("kill"):
            await self._replace(child)
            return
        _signal(child.process, signal.SIGSTOP)
        await asyncio.sleep(fault.lasts)
        _signal(child.process, signal.SIGCONT)

    # The end

    async def _settle(self) -> None:
        await self._tell("settle")
        await self._await_settled()
        async with self._memory() as memory:
            await self._drain(WorkQueue(memory, QUEUE))
            await self._tell("end")
            clients = [child for child in self._children if child.name != "w"]
            await self._await_end(clients, _END)
            revisions = await self._read_all(memory)
            revisions.update(await self._store_last(memory))
        watcher = next(child for child in self._children if child.name == "w")
        told = _told(sorted(self._folder.glob("w.*.jsonl")))
        missing = {key: number for key, number in revisions.items() if told.get(key, 0) < number}
        await _say(watcher.process, json.dumps(missing))
        await self._await_end([watcher], MOST_PATIENCE + _END)

    async def _tell(self, command: str) -> None:
        for child in self._children:
            if child.name != "w":
                await _say(child.process, command)

    async def _await_settled(self) -> None:
        """Wait until all clients do nothing but jobs any more."""
        for child in self._children:
            if child.name != "w":
                assert child.process.stdout is not None
                async with asyncio.timeout(_END):
                    await child.process.stdout.readline()

    async def _drain(self, queue: WorkQueue) -> None:
        ends = time.monotonic() + _DRAIN
        counts = await queue.stats()
        while counts.ready + counts.delayed + counts.claimed and time.monotonic() < ends:
            await asyncio.sleep(0.05)
            counts = await queue.stats()
        dead = [job.payload["job"] for job in await queue.dead(1000)]
        self._recorder.note("drained", {"queue": QUEUE}, {"dead": dead})

    async def _await_end(self, children: list[_Child], seconds: float) -> None:
        for child in children:
            try:
                async with asyncio.timeout(seconds):
                    code = await child.process.wait()
            except TimeoutError:
                self._recorder.note("closed", {"processes": [child.known_as]})
                continue
            if code:
                self._complain(child, code)

    def _complain(self, child: _Child, code: int) -> None:
        said = (self._folder / f"{child.known_as}.err").read_text(errors="replace")
        self.complaints.append(f"{child.known_as} ended with {code}: {said[-3000:]}")

    async def _read_all(self, memory: Memory) -> dict[str, int]:
        """Read all entries that anybody touched; return the revisions that a watch has to tell."""
        history = read_history(self._folder.glob("*.jsonl"))
        keys = {
            key
            for each in history.operations
            for key in (
                each.arguments.get("key"),
                *each.arguments.get("items", ()),
                *(change["key"] for change in each.arguments.get("changes", ())),
            )
            if key and not key.startswith(PREFIX)
        }
        answers = await asyncio.gather(
            *(
                self._recorder.call("entry", {"key": key}, memory.entry(key), tell=_entry)
                for key in sorted(keys)
            )
        )
        revisions = _stored(history)
        for answer in answers:
            if answer.returned is not None:
                revisions[answer.returned.key] = answer.returned.revision
        return revisions

    async def _store_last(self, memory: Memory) -> dict[str, int]:
        answers = await asyncio.gather(
            *(
                self._recorder.call("store", {"key": key, "value": 0}, memory.store(key, 0))
                for key in _LAST
            )
        )
        return {key: answer.returned for key, answer in zip(_LAST, answers, strict=True)}

    def judge(self) -> Judgement:
        """Judge what was recorded."""
        return judge_folder(self._folder, self._system.max_stale)


def judge_folder(folder: Path, max_stale: float) -> Judgement:
    """Judge a history that was kept."""
    return judge(read_history(folder.glob("*.jsonl")), Promises(max_stale=max_stale))


def _entry(entry: Any) -> Any:
    return entry and {"value": entry.value, "revision": entry.revision}


async def _say(process: Process, line: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(f"{line}\n".encode())
        await process.stdin.drain()


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _last_cursor(paths: list[Path]) -> str | None:
    """Return where the watchers that were killed had got to."""
    events = sorted(
        (each for each in read_history(paths).of("watch", "change", "watch_gap")),
        key=lambda each: each.invoked,
    )
    for event in reversed(events):
        if event.function == "watch_gap":
            return "start"
        if event.outcome == "ok" and event.result is not None:
            return str(event.result)
    return None


def _stored(history: History) -> dict[str, int]:
    """Return the newest revision of each key that a call was told."""
    stored: dict[str, int] = {}
    for call in history.of("store", "store_many", "transaction"):
        if call.outcome == "ok":
            single = {call.arguments.get("key"): call.result}
            told = single if call.function == "store" else call.result
            for key, revision in told.items():
                stored[key] = max(stored.get(key, 0), revision)
    return stored


def _told(paths: list[Path]) -> dict[str, int]:
    """Return the newest revision of each key that the watchers have told so far."""
    told: dict[str, int] = {}
    for change in read_history(paths).of("change"):
        key, revision = change.arguments["key"], change.arguments["revision"]
        told[key] = max(told.get(key, 0), revision)
    return told


__all__ = ["TIMEOUT", "Run", "judge_folder"]
