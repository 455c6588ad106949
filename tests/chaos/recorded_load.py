"""A client of a chaos run: calls of all kinds, each recorded, until it is told to end.

Run as ``python -m tests.chaos.recorded_load CONFIGURATION`` (JSON, see ``Client``). A line
"settle" on its standard input ends all but the doing of jobs, which it then says; "end" that too.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.client_process import TIMEOUT, commands, note_what_is_left, watch_stalls

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.coordination import Job, Lease, Presence, WorkQueue
from lionagi_qe.persistence.transfer import copy
from lionagi_qe.testing.history import Answer, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

TTL = 1.2
LEASE_TTL = 1.0
JOB_LEASE_TTL = 1.0
PRESENCE_TTL = 1.5
# Keys are used for so many seconds, so that each has a short history.
_GENERATION = 1.5
_LONGEST_PAUSE = 0.08
# In one shard of a cluster: the queue is called as its entries begin.
QUEUE = "x/0"


@dataclass(frozen=True)
class Client:
    """How a client is configured.

    Attributes:
        url: of the memory.
        cache: of a cache in front of it, if any.
        fleet: its own for each run.
        process: its name in the history.
        file: where it records.
        seed: of its choices.
        began: when the run did, by the monotonic clock.
        weights: how many tasks it has for each load.
    """

    url: str
    cache: str | None
    fleet: str
    process: str
    file: str
    seed: str
    began: float
    weights: dict[str, int]


class Load:
    """The tasks of a client."""

    def __init__(self, client: Client, memory: Memory, recorder: Recorder) -> None:
        self._client = client
        self._memory = memory
        self._record = recorder
        self._dice = random.Random(client.seed)
        self._values = itertools.count()
        self._queue = WorkQueue(memory, QUEUE, max_attempts=1000, result_ttl=60)
        self.settling = asyncio.Event()
        self.ending = asyncio.Event()

    async def run(self) -> None:
        loads: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "registers": self._registers,
            "chain": self._chain,
            "counters": self._counters,
            "batches": self._batches,
            "transactions": self._transactions,
            "expiring": self._expiring,
            "lease": self._lease,
            "queue": self._puts,
            "presence": self._presence,
            "copies": self._copies,
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            async with asyncio.TaskGroup() as settling:
                for name, count in self._client.weights.items():
                    for _ in range(count):
                        settling.create_task(loads[name]())
            await self.settling.wait()
            print("settled", flush=True)

    # What all have in common

    async def _call(
        self,
        function: str,
        arguments: dict[str, Any],
        awaitable: Awaitable[Any],
        tell: Callable[[Any], Any] = lambda returned: returned,
        timeout: float | None = TIMEOUT,
    ) -> Answer:
        return await self._record.call(function, arguments, awaitable, timeout=timeout, tell=tell)

    async def _turns(self) -> AsyncIterator[str]:
        """Yield the present generation's part of a key, again and again."""
        while not self.settling.is_set():
            yield str(int((time.monotonic() - self._client.began) / _GENERATION))
            await asyncio.sleep(self._dice.uniform(0, _LONGEST_PAUSE))

    def _value(self) -> str:
        return f"{self._client.process}-{next(self._values)}"

    async def _store(self, key: str, value: Any, **more: Any) -> Answer:
        told = {name: given for name, given in more.items() if name != "fence"}
        if (lease := more.get("fence")) is not None:
            told["fence"] = {"lease": lease.name, "token": lease.token}
        return await self._call(
            "store", {"key": key, "value": value, **told}, self._memory.store(key, value, **more)
        )

    async def _entry(self, key: str) -> Any:
        def tell(entry: Any) -> Any:
            return entry and {"value": entry.value, "revision": entry.revision}

        answer = await self._call("entry", {"key": key}, self._memory.entry(key), tell)
        return answer.returned

    async def _retrieve(self, key: str) -> Any:
        answer = await self._call("retrieve", {"key": key}, self._memory.retrieve(key))
        return answer.returned

    # Entries

    async def _registers(self) -> None:
        async for generation in self._turns():
            key = f"aqe/r/{self._dice.randrange(4)}/{generation}"
            match self._dice.randrange(8):
                case 0 | 1 | 2:
                    await self._store(key, self._value())
                case 3:
                    await self._call("delete", {"key": key}, self._memory.delete(key))
                case 4 | 5:
                    await self._entry(key)
                case _:
                    await self._retrieve(key)

    async def _chain(self) -> None:
        """Compare and set, each value naming the one before it."""
        async for generation in self._turns():
            key = f"aqe/c/{generation}/chain"
            entry = await self._entry(key)
            before, revision = ("", 0) if entry is None else (entry.value, entry.revision)
            value = f"{self._value()} after {before.partition(' ')[0]}"
            await self._store(key, value, if_revision=revision)

    async def _counters(self) -> None:
        async for generation in self._turns():
            key = f"aqe/n/{self._dice.randrange(2)}/{generation}"
            if self._dice.random() < 0.2:
                await self._retrieve(key)
                continue
            amount = self._dice.randint(1, 3)
            await self._call(
                "increment",
                {"key": key, "amount": amount},
                self._memory.increment(key, amount),
            )

    async def _batches(self) -> None:
        """Batches of keys of their own, and of keys that others overwrite."""
        written: list[list[str]] = []
        async for generation in self._turns():
            name = self._value()
            keys = [f"aqe/b/0/{name}/{at}" for at in range(3)]
            match self._dice.randrange(4):
                case 0:
                    await self._store_many(dict.fromkeys(keys, name))
                    written.append(keys)
                case 1:
                    shared = [f"aqe/b/0/{generation}/{at}" for at in range(3)]
                    await self._store_many(dict.fromkeys(shared, name))
                case 2 if written:
                    await self._retrieve_many(self._dice.choice(written))
                case _:
                    await self._retrieve_many([f"aqe/b/0/{generation}/{at}" for at in range(3)])

    async def _store_many(self, items: dict[str, Any]) -> None:
        await self._call("store_many", {"items": items}, self._memory.store_many(items))

    async def _retrieve_many(self, keys: list[str]) -> None:
        await self._call("retrieve_many", {"keys": keys}, self._memory.retrieve_many(keys))

    async def _transactions(self) -> None:
        """An entry and a job that belong together; now and then one that conflicts."""
        seen: list[str] = []
        async for _ in self._turns():
            name = self._value()
            key = f"aqe/x/0/{name}"
            if seen and self._dice.random() < 0.4:
                await self._retrieve(self._dice.choice(seen[-5:]))
                continue
            # A conflict: there is no entry yet.
            revision = 999_999_999 if self._dice.random() < 0.1 else 0
            change = {"function": "store", "key": key, "value": name, "if_revision": revision}
            arguments = {"changes": [change], "jobs": [{"queue": QUEUE, "job": name}]}
            await self._call("transaction", arguments, self._transact(key, name, revision))
            seen.append(key)

    async def _transact(self, key: str, name: str, revision: int) -> dict[str, Any]:
        async with self._memory.transaction() as transaction:
            transaction.store(key, name, if_revision=revision)
            await self._queue.put({"job": name}, transaction=transaction)
        return transaction.results

    async def _expiring(self) -> None:
        key = ""
        async for _ in self._turns():
            if not key or self._dice.random() < 0.1:
                key = f"aqe/t/0/{self._value()}"
                await self._store(key, self._value(), ttl=TTL)
            elif self._dice.random() < 0.5:
                await self._entry(key)
            else:
                await self._retrieve(key)

    async def _copies(self) -> None:
        """Copy registers to a memory elsewhere: whatever is in a copy was there meanwhile."""
        async for generation in self._turns():
            keys = [f"aqe/r/{number}/{generation}" for number in range(4)]
            copying = asyncio.create_task(self._copied(f"aqe/r/*/{generation}"))
            # A copy is as many calls as there are pages.
            await asyncio.gather(
                *(
                    self._call("retrieve", {"key": key}, _found(copying, key), timeout=None)
                    for key in keys
                )
            )
            await asyncio.sleep(self._dice.uniform(0.2, 0.6))

    async def _copied(self, pattern: str) -> dict[str, Any]:
        async with open_memory("sqlite:///:memory:", cleanup_interval=None) as target:
            await copy(self._memory, target, pattern=pattern)
            return await target.search(pattern)

    # Leases, jobs, presence

    async def _lease(self) -> None:
        """Hold a lease for a while, and write with its token; a stopped process writes on."""
        async for generation in self._turns():
            lease = Lease(self._memory, "holder", ttl=LEASE_TTL)
            arguments = {"lease": "holder", "ttl": LEASE_TTL}
            # A late answer is waited for, to give back what it gave.
            answer = await self._call(
                "acquire", arguments, lease.acquire(1.0), lambda _, own=lease: own.token, 2.0
            )
            if answer.outcome != "ok":
                continue
            key = f"aqe/f/0/{generation}"
            for _ in range(self._dice.randint(1, 12)):
                stored = await self._store(key, self._value(), fence=lease)
                if isinstance(stored.error, errors.LeaseLostError):
                    break
                await asyncio.sleep(self._dice.uniform(0, 0.15))
            token = {"lease": "holder", "token": lease.token}
            # Its renewals wait no longer than the lease lives.
            await self._call("release", token, lease.release())

    async def _puts(self) -> None:
        async for _ in self._turns():
            if self._dice.random() < 0.7:
                name = self._value()
                job = {"queue": QUEUE, "job": name}
                await self._call("put", job, self._queue.put({"job": name}))
            else:
                names = [self._value() for _ in range(3)]
                jobs = {"queue": QUEUE, "jobs": names}
                putting = self._queue.put_many([{"job": name} for name in names])
                await self._call("put_many", jobs, putting)

    async def _work(self) -> None:
        """Do jobs until all is at its end; now and then forget one, as if we had died."""
        while not self.ending.is_set():
            limit = self._dice.randint(1, 4)
            arguments = {"queue": QUEUE, "limit": limit, "lease_ttl": JOB_LEASE_TTL}
            answer = await self._call(
                "claim",
                arguments,
                self._queue.claim(limit, JOB_LEASE_TTL),
                lambda jobs: [
                    {"job": job.payload["job"], "claim": job._claim, "attempt": job.attempt}
                    for job in jobs
                ],
            )
            for job in answer.returned or ():
                await self._do(job)
            if not answer.returned:
                await asyncio.sleep(self._dice.uniform(0.02, 0.2))

    async def _do(self, job: Job) -> None:
        name = {"queue": QUEUE, "job": job.payload["job"], "claim": job._claim}
        luck = self._dice.random()
        if luck < 0.04 and not self.settling.is_set():
            return
        if luck < 0.1:
            await self._call("retry_job", name, job.fail("again", delay=0.05))
        elif luck < 0.2:
            key = f"aqe/x/0/done-{name['job']}-{name['claim']}"
            change = {"function": "store", "key": key, "value": self._client.process}
            arguments = {"changes": [change], "jobs": [], "acks": [name]}
            await self._call("transaction", arguments, self._ack_with(job, key))
        else:
            await self._call("ack", name, job.ack())

    async def _ack_with(self, job: Job, key: str) -> dict[str, Any]:
        async with self._memory.transaction() as transaction:
            transaction.store(key, self._client.process)
            await job.ack(transaction=transaction)
        return transaction.results

    async def _presence(self) -> None:
        """Join, beat, look, and leave, and again."""
        async for _ in self._turns():
            agent = self._value()
            member = {"group": "agents", "agent": agent, "ttl": PRESENCE_TTL}
            presence = Presence(self._memory, agent, ttl=PRESENCE_TTL)
            joined = await self._call("join", member, presence.__aenter__(), lambda _: True)
            if joined.outcome != "ok":
                continue
            for _ in range(self._dice.randint(2, 15)):
                if self._dice.random() < 0.4:
                    # Two calls of the memory.
                    await self._call("beat", member, presence.beat(), timeout=2 * TIMEOUT)
                else:
                    await self._call(
                        "alive",
                        {"group": "agents"},
                        presence.alive(),
                        lambda members: [each.agent_id for each in members],
                    )
                await asyncio.sleep(self._dice.uniform(0, 0.2))
            # Three calls of the memory.
            await self._call("leave", member, self._leave(presence), timeout=3 * TIMEOUT)

    async def _leave(self, presence: Presence) -> None:
        """Leave, and make sure: where the server is away, a member is let to expire instead.

        A beat whose answer was lost may still be on its way, and show the member for a TTL more.
        """
        await presence.__aexit__(None, None, None)
        if presence._revision is None or await self._memory.entry(presence.key) is not None:
            raise errors.OutcomeUnknownError(presence.key)


async def _found(copying: asyncio.Task[dict[str, Any]], key: str) -> Any:
    return (await copying).get(key)


async def obey(load: Load) -> None:
    async for command in commands():
        if command == "settle":
            load.settling.set()
        else:
            break
    # Also when the scheduler has gone.
    load.settling.set()
    load.ending.set()


async def main(client: Client) -> None:
    with Recorder(Path(client.file), client.process) as recorder, watch_stalls(recorder):
        memory = open_memory(
            client.url, cache=client.cache, fleet=client.fleet, timeout=TIMEOUT, cleanup_interval=1
        )
        load = Load(client, memory, recorder)
        obeying = asyncio.create_task(obey(load))
        try:
            await load.run()
            await obeying
        finally:
            await memory.close()
        await note_what_is_left(recorder)


if __name__ == "__main__":
    asyncio.run(main(Client(**json.loads(sys.argv[1]))))
