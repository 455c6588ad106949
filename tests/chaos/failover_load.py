"""What a failover drill does to a memory all the while: calls of all kinds, and their outcomes.

Each call is acknowledged, refused (it says that nothing was changed) or unknown. At the end
``losses`` compares what was told with what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe import errors
from lionagi_qe.coordination import Lease, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from lionagi_qe import Memory

T = TypeVar("T")

# Shorter than some of what the drill does takes: calls are refused or unknown, too.
TIMEOUT = 3.0
# How long a call may take beyond its timeout.
GRACE = 1.0
# Until the slowest switch-over has ended.
PATIENCE = 90.0
_PAUSE = 0.02
# Of the clock that times calls: what passes at once beyond twice that, a busy machine withheld.
_TICK = 0.05
# In the end, for jobs and changes that are still to come; what has not by then is lost.
_CATCH_UP = 20.0
_BATCH = 4
_FENCED = "aqe/drill/fenced"
ONCE = "aqe/drill/once/"


@dataclass
class Tally:
    """What calls of one kind were told."""

    calls: int = 0
    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    # Seconds in which this process could run.
    longest: float = 0.0


@dataclass
class Outcomes:
    """What became of changes that each have a name of their own."""

    acknowledged: dict[str, Any] = field(default_factory=dict[str, Any])
    unknown: dict[str, Any] = field(default_factory=dict[str, Any])
    refused: dict[str, Any] = field(default_factory=dict[str, Any])


class Load:
    """Runs while the block of ``async with load():`` does."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.tally = Tally()
        self.once = Outcomes()
        self.batches = Outcomes()
        self.counted = Tally()
        self.chain: list[int] = []
        self.links_lost: list[str] = []
        self.jobs = Outcomes()
        self.done: set[str] = set()
        self.tokens: list[int] = []
        self.leases_lost = 0
        self.seen: set[str] = set()
        self.gaps = 0
        self.longest_silence = 0.0
        self._told = 0.0
        self._given = 0.0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._queue = WorkQueue(memory, "drill")

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        self._told = asyncio.get_running_loop().time()
        ready = asyncio.Event()
        lasting = [
            asyncio.create_task(self._queue.work(self._note, 2, lease_ttl=2, signals=())),
            asyncio.create_task(self._watch(ready)),
            asyncio.create_task(self._tick()),
        ]
        await ready.wait()
        parts: list[Coroutine[Any, Any, None]] = [
            *(self._store_once(str(at)) for at in range(4)),
            self._store_batches(),
            self._count(),
            self._build_chain(),
            self._put(),
            self._hold(),
        ]
        tasks = [asyncio.create_task(part) for part in parts]
        self._tasks = [*tasks, *lasting]
        try:
            yield
            self._stopping = True
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*tasks)
                await self._until(lambda: self.jobs.acknowledged.keys() <= self.done, lasting)
                await self._until(lambda: self.once.acknowledged.keys() <= self.seen, lasting)
        finally:
            for task in (*tasks, *lasting):
                task.cancel()
            await asyncio.gather(*tasks, *lasting, return_exceptions=True)

    async def goes_on(self) -> None:
        """Wait until changes of all kinds are acknowledged again."""
        before = self._counts()
        loop = asyncio.get_running_loop()
        ends = loop.time() + PATIENCE
        while stuck := [
            what for what, count in self._counts().items() if count <= before[what] + 2
        ]:
            for task in self._tasks:
                assert not task.done(), f"ended: {task}"
            assert loop.time() < ends, f"goes on no more: {stuck}"
            await asyncio.sleep(0.02)

    def _counts(self) -> dict[str, int]:
        return {
            "stores": len(self.once.acknowledged),
            "batches": len(self.batches.acknowledged),
            "puts": len(self.jobs.acknowledged),
            "jobs done": len(self.done),
            "changes under a lease": len(self.tokens),
            "increments": self.counted.acknowledged,
            "links": len(self.chain),
            "changes seen": len(self.seen),
        }

    @staticmethod
    async def _until(condition: Callable[[], bool], lasting: list[asyncio.Task[None]]) -> None:
        """Wait until it holds, or for so long; a worker or watcher that ended is an error."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + _CATCH_UP
        while not condition() and loop.time() < ends:
            for task in lasting:
                assert not task.done(), f"ended: {task}"
            await asyncio.sleep(0.05)

    async def _tick(self) -> None:
        """Add up the seconds in which this process could run."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(_TICK)
            self._given += min(loop.time() - began, 2 * _TICK)

    async def _call(self, call: Awaitable[T]) -> tuple[str, T | None]:
        """Make a change; return what became of it and its result."""
        loop = asyncio.get_running_loop()
        began = self._given
        self.tally.calls += 1
        try:
            result = await call
        except errors.BackendUnavailableError as error:
            outcome = "unknown" if error.outcome == "unknown" else "refused"
            result = None
        else:
            outcome = "acknowledged"
            self.longest_silence = max(self.longest_silence, loop.time() - self._told)
            self._told = loop.time()
        finally:
            self.tally.longest = max(self.tally.longest, self._given - began)
        setattr(self.tally, outcome, getattr(self.tally, outcome) + 1)
        return outcome, result

    async def _turns(self) -> AsyncIterator[int]:
        for number in itertools.count():
            if self._stopping:
                return
            yield number
            await asyncio.sleep(_PAUSE)

    async def _store_once(self, writer: str) -> None:
        async for number in self._turns():
            key = f"{ONCE}{writer}/{number}"
            outcome, _ = await self._call(self.memory.store(key, number))
            getattr(self.once, outcome)[key] = number

    async def _store_batches(self) -> None:
        async for number in self._turns():
            items = {f"aqe/drill/batch/{number}/{at}": number for at in range(_BATCH)}
            outcome, _ = await self._call(self.memory.store_many(items))
            getattr(self.batches, outcome).update(items)

    async def _count(self) -> None:
        async for _ in self._turns():
            outcome, _ = await self._call(self.memory.increment("aqe/drill/count"))
            setattr(self.counted, outcome, getattr(self.counted, outcome) + 1)

    async def _build_chain(self) -> None:
        """Append to a list by compare-and-set, each number once."""
        key, revision, links = "aqe/drill/chain", 0, list[int]()
        known = True
        async for number in self._turns():
            if not known:
                with contextlib.suppress(errors.BackendUnavailableError):
                    entry = await self.memory.entry(key)
                    revision, links = (0, []) if entry is None else (entry.revision, entry.value)
                    self.links_lost += self._missing(links)
                    known = True
                continue
            # A short list, so that the drill measures failovers; each holds the one before it.
            longer = [*links[-20:], number]
            try:
                outcome, told = await self._call(
                    self.memory.store(key, longer, if_revision=revision)
                )
            except errors.RevisionConflictError:
                # Of a change whose outcome was unknown, which came after we looked.
                known = False
                continue
            if outcome == "acknowledged":
                revision, links = told or 0, longer
                self.chain.append(number)
            known = outcome != "unknown"

    async def _put(self) -> None:
        async for number in self._turns():
            outcome, _ = await self._call(self._queue.put(str(number)))
            getattr(self.jobs, outcome)[str(number)] = number

    async def _note(self, job: Any) -> None:
        self.done.add(job.payload)

    async def _hold(self) -> None:
        while not self._stopping:
            try:
                async with Lease(self.memory, "drill", ttl=5) as lease:
                    await self._change_as_holder(lease)
            except errors.LeaseLostError:
                self.leases_lost += 1
            except errors.BackendUnavailableError:
                await asyncio.sleep(_PAUSE)

    async def _change_as_holder(self, lease: Lease) -> None:
        async for _ in self._turns():
            outcome, _ = await self._call(self.memory.store(_FENCED, lease.token, fence=lease))
            if outcome == "acknowledged":
                self.tokens.append(lease.token)

    async def _watch(self, ready: asyncio.Event) -> None:
        """See all keys that are stored; after a gap, read what is there and go on."""
        while True:
            async with self.memory.watch(f"{ONCE}*") as changes:
                if self.gaps:
                    self.seen.update(await self.memory.list_keys(ONCE))
                ready.set()
                try:
                    async for change in changes:
                        self.seen.add(change.key)
                except errors.WatchTooOldError:
                    self.gaps += 1

    async def losses(self) -> dict[str, list[str]]:
        """Return what was acknowledged and isn't there, and what is there and was refused."""
        once = await self._there(self.once)
        batches = await self._there(self.batches)
        links = await self.memory.retrieve("aqe/drill/chain", [])
        count = int(await self.memory.retrieve("aqe/drill/count", 0))
        lost: dict[str, list[str]] = {
            "keys": [key for key, value in self.once.acknowledged.items() if once[key] != value],
            "keys of batches": [
                key for key, value in self.batches.acknowledged.items() if batches[key] != value
            ],
            "refused, and there": [
                key
                for outcomes, found in ((self.once, once), (self.batches, batches))
                for key in outcomes.refused
                if found[key] is not None
            ],
            "increments": ["lost"] * max(0, self.counted.acknowledged - count),
            "increments too many": ["applied"]
            * max(0, count - self.counted.acknowledged - self.counted.unknown),
            "links of the chain": self.links_lost + self._missing(links),
            "jobs": [job for job in self.jobs.acknowledged if job not in self.done],
            "jobs refused, and done": [job for job in self.jobs.refused if job in self.done],
            "changes unseen": [key for key in self.once.acknowledged if key not in self.seen],
            "tokens that went back": [
                f"{before} to {after}"
                for before, after in itertools.pairwise(self.tokens)
                if after < before
            ],
        }
        return {what: which for what, which in lost.items() if which}

    async def _there(self, outcomes: Outcomes) -> dict[str, Any]:
        keys = [*outcomes.acknowledged, *outcomes.refused]
        found: dict[str, Any] = {}
        for at in range(0, len(keys), 500):
            found.update(await self.memory.retrieve_many(keys[at : at + 500]))
        return {key: found.get(key) for key in keys}

    def _missing(self, links: list[int]) -> list[str]:
        """Return the last acknowledged links that the chain lacks; it keeps the last 20."""
        return [str(number) for number in self.chain[-10:] if number not in links]
