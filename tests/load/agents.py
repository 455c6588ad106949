"""The agents of a load: what each kind of call does to the memory.

A process's agents put jobs for those of the next process, and watch what those store.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.coordination import Job, Lease, Presence, WorkQueue
from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.load.plan import Arrival, Plan
    from tests.load.samples import SampleWriter

    from lionagi_qe import Memory

# Each agent's own entries, which it stores again and again, so that a run ends with as many as it
# began with.
SLOTS = 4
TTL = 2.0
# Members beat by themselves every third of it, besides the beats that the schedule has.
PRESENCE_TTL = 60.0
LEASE_TTL = 10.0
# How long done jobs are kept: less than a run's warm-up.
RESULT_TTL = 30.0
MOST_CLAIMED = 4
CONCURRENCY = 8
# Some three hundred bytes of JSON, as ``aqe bench`` stores.
_TEXT = "what an agent found, in so many words. " * 6
_JOINED_AT_ONCE = 50


class Agents:
    """The agents of one process. Used by ``async with``."""

    def __init__(self, memory: Memory, plan: Plan, process: int, samples: SampleWriter) -> None:
        self._memory = memory
        self._samples = samples
        # The run's beginning, by the loop's clock; known once all processes are ready.
        self.began = 0.0
        self._clock = asyncio.get_running_loop().time
        self._dice = itertools.count()
        self._numbers = plan.agents_of(process)
        following = (process + 1) % plan.processes
        self._own, self._others = f"load/{process}", f"load/{following}"
        # On Redis Cluster a queue lies where the entries whose keys begin like its name lie.
        self._claims = self._queue(self._own)
        self._puts = self._queue(self._others)
        self._consumed = self._queue(f"{self._own}/consumed")
        self._hands_on = self._queue(f"{self._others}/consumed")
        self._present: dict[int, Presence] = {}
        self._background: list[asyncio.Task[None]] = []
        self._acks: set[asyncio.Task[None]] = set()
        self._calls: dict[str, Callable[[Arrival], Any]] = {
            "store": self._store,
            "retrieve": self._retrieve,
            "expiring": self._expiring,
            "increment": self._increment,
            "search": self._search,
            "transaction": self._transaction,
            "lease": self._lease,
            "put": self._put,
            "claim": self._claim,
            "heartbeat": self._heartbeat,
        }
        self._mix = plan.mix

    def _queue(self, name: str) -> WorkQueue:
        return WorkQueue(self._memory, name, result_ttl=RESULT_TTL)

    async def __aenter__(self) -> Self:
        if "store" in self._mix:
            await self._fill()
            self._start(self._watch())
        if "transaction" in self._mix:
            self._start(self._consume())
        if "heartbeat" in self._mix:
            await self._join()
        return self

    def _start(self, work: Any) -> None:
        self._background.append(asyncio.create_task(work))

    @property
    def passing(self) -> int:
        """How many tasks there are that end by themselves soon."""
        return len(self._acks)

    async def __aexit__(self, *_: object) -> None:
        if self._acks:
            await asyncio.wait(list(self._acks))
        for task in self._background:
            task.cancel()
        ended = await asyncio.gather(*self._background, return_exceptions=True)
        await self._each(self._present.values(), lambda each: each.__aexit__(None, None, None))
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _fill(self) -> None:
        keys = [self._key(agent, slot) for agent in self._numbers for slot in range(SLOTS)]
        for first in range(0, len(keys), 500):
            await self._memory.store_many(
                {key: self._value(self._clock(), first=True) for key in keys[first : first + 500]}
            )

    async def _join(self) -> None:
        for agent in self._numbers:
            self._present[agent] = Presence(
                self._memory, f"agent-{agent}", ttl=PRESENCE_TTL, group="load"
            )
        await self._each(self._present.values(), lambda each: each.__aenter__())

    @staticmethod
    async def _each(some: Any, do: Callable[[Any], Any]) -> None:
        whole = list(some)
        for first in range(0, len(whole), _JOINED_AT_ONCE):
            await asyncio.gather(*map(do, whole[first : first + _JOINED_AT_ONCE]))

    async def call(self, arrival: Arrival) -> None:
        """Make a call."""
        await self._calls[arrival.kind](arrival)

    # Entries

    def _key(self, agent: int, slot: int) -> str:
        return f"aqe/{self._own}/{agent}/{slot}"

    def _value(self, due: float, *, first: bool = False) -> dict[str, Any]:
        return {"due": due, "first": first, "text": _TEXT}

    def _due(self, arrival: Arrival) -> float:
        return self.began + arrival.at

    def _slot(self) -> int:
        return next(self._dice) % SLOTS

    async def _store(self, arrival: Arrival) -> None:
        key = self._key(arrival.agent, self._slot())
        await self._memory.store(key, self._value(self._due(arrival)))

    async def _retrieve(self, arrival: Arrival) -> None:
        await self._memory.retrieve(self._key(arrival.agent, self._slot()))

    async def _expiring(self, arrival: Arrival) -> None:
        key = f"aqe/{self._own}/passing/{arrival.agent}-{next(self._dice)}"
        await self._memory.store(key, self._value(0.0, first=True), ttl=TTL)

    async def _increment(self, arrival: Arrival) -> None:
        await self._memory.increment(f"aqe/{self._own}/counters/{arrival.agent % 10}")

    async def _search(self, arrival: Arrival) -> None:
        await self._memory.search(f"aqe/{self._own}/{arrival.agent}/*")

    # Leases and presence

    async def _lease(self, arrival: Arrival) -> None:
        lease = Lease(self._memory, f"{self._own}/{arrival.agent}", ttl=LEASE_TTL)
        await lease.acquire()
        await lease.release()

    async def _heartbeat(self, arrival: Arrival) -> None:
        await self._present[arrival.agent].beat()

    # Jobs

    async def _put(self, arrival: Arrival) -> None:
        await self._puts.put({"due": self._due(arrival), "text": _TEXT})

    async def _claim(self, arrival: Arrival) -> None:
        """Claim; the acknowledgements are calls of their own, due once there is a job."""
        for job in await self._claims.claim(MOST_CLAIMED):
            self._start_ack(job)

    def _start_ack(self, job: Job) -> None:
        task = asyncio.create_task(self._ack(job))
        self._acks.add(task)
        task.add_done_callback(self._acks.discard)

    async def _ack(self, job: Job) -> None:
        began = self._clock()
        outcome = "ok"
        try:
            await job.ack()
        except AqeError as error:
            outcome = type(error).__name__
        now = self._clock()
        self._samples.add("ack", began - self.began, latency=now - began, outcome=outcome)
        # From when it was due to be put until it is done.
        due = job.payload["due"]
        self._samples.add("job", due - self.began, latency=now - due, outcome=outcome)

    async def _transaction(self, arrival: Arrival) -> None:
        """Store an entry and put a job in one step, for a worker who consumes."""
        async with self._memory.transaction() as transaction:
            key = f"aqe/{self._others}/consumed/{arrival.agent}"
            transaction.store(key, self._value(0.0, first=True))
            await self._hands_on.put({"due": self._due(arrival)}, transaction=transaction)

    async def _consume(self) -> None:
        async with aclosing(self._consumed.consume(CONCURRENCY)) as jobs:
            async for job in jobs:
                self._start_ack(job)

    async def _watch(self) -> None:
        """Note how long after it was due a store is told; what was stored before doesn't count."""
        async with self._memory.watch(f"aqe/{self._others}/*") as changes:
            async for change in changes:
                if change.kind == "stored" and isinstance(change.value, dict):
                    if change.value["first"]:
                        continue
                    due = change.value["due"]
                    self._samples.add("watch", due - self.began, latency=self._clock() - due)
