"""Queues, schedules, leases and presence work by the newer key alone once they are sealed anew."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends import on, url_of

from lionagi_qe import ConfigurationError, KeyRing, open_memory
from lionagi_qe.coordination import Lease, Presence, WorkQueue
from lionagi_qe.persistence import transfer
from lionagi_qe.persistence.encryption.coordination_resealing import CoordinationResealer
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe import Memory
    from lionagi_qe.coordination import Job

FIRST, SECOND = KeyRing.generate("first"), KeyRing.generate("second")
OLD, NEW = KeyRing.parse(f"{FIRST},{SECOND}"), KeyRing.parse(f"{SECOND},{FIRST}")
ONLY_NEW = KeyRing.parse(SECOND)
TEXTS = 24


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture
def fleet() -> str:
    return f"rekeyed-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def older(url: str, fleet: str) -> AsyncGenerator[Memory]:
    async with open_memory(url, fleet=fleet, keys=OLD) as memory:
        yield memory
        await erase(memory)


@dataclass
class Filled:
    """What a memory held before it was sealed anew: ids of jobs by what was to become of them."""

    ids: dict[str, str]
    claimed: Job


async def fill(memory: Memory) -> Filled:
    """Put a job into each state, and whatever else is kept with jobs."""
    queue = WorkQueue(memory, "jobs", max_attempts=3, result_ttl=600)
    ids = {"done": await queue.put("done", priority=-9)}
    (job,) = await queue.claim(wait=10)
    await job.progress("half")
    await job.ack("result of done")
    ids["dead"] = await queue.put("dead", priority=-8)
    (job,) = await queue.claim(wait=10)
    await job.fail("its error", retry=False)
    ids["first"] = await queue.put("first", priority=-7)
    ids["behind"] = await queue.put("behind", after=[ids["done"], ids["first"]])
    ids["held"] = await queue.put("held", priority=-6)
    ids["later"] = await queue.put("later", delay=600)
    await queue.put("replaced", dedupe="k", delay=600)
    ids["replaced"] = await queue.put("new", dedupe="k", delay=600, on_duplicate="replace")
    await queue.cancel(await queue.put("gone"))
    ids["limited"] = await queue.put("limited", priority=-5, limit_key="tenant")
    await queue.schedule("nightly", cron="0 3 * * *", payload={"at": "night"})
    (job,) = await queue.claim(wait=10, lease_ttl=600)
    await job.ack("result of first")
    (claimed,) = await queue.claim(wait=10, lease_ttl=600)
    await claimed.progress("begun")
    batches = WorkQueue(memory, "batched", max_attempts=1, result_ttl=600)
    batch = await batches.batch(["a", "b", "c"], then="then", when="all-done")
    ids["batch"] = batch.id
    for ends in ("ack", "fail"):
        (job,) = await batches.claim(wait=10)
        await getattr(job, ends)(f"{ends} of {job.payload}")
    return Filled(ids, claimed)


async def test_the_older_key_can_go_and_everything_goes_on(
    older: Memory, url: str, fleet: str
) -> None:
    filled = await fill(older)
    async with (
        Lease(older, "gate", holder="keeper", ttl=600) as lease,
        Presence(older, "p", info="here"),
        open_memory(url, fleet=fleet, keys=NEW) as newer,
    ):
        rekeyed = await transfer.rekey(newer, page_size=2)
        assert (rekeyed.complete, rekeyed.left, rekeyed.refused) == (True, 0, 0)
        # 6 payloads, 2 results, which the job behind has as well, an error, 2 of progress, a
        # schedule, a holder. Of the batch 3 payloads, a result and an error, which it has as well.
        # And of both errors the attempts.
        assert rekeyed.texts_sealed == rekeyed.texts == TEXTS
        assert (await transfer.rekey(newer)).texts_sealed == 0
        # Who claimed a job, and who holds the lease, notices nothing.
        await filled.claimed.extend(600)
        assert lease.held
        async with open_memory(url, fleet=fleet, keys=ONLY_NEW) as newest:
            await check(newest, filled)
            state = await Lease(newest, "gate").state()
            assert state is not None
            assert (state.holder, state.token) == ("keeper", lease.token)
            assert [each.info for each in await Presence(newest, "other").alive()] == ["here"]


async def check(memory: Memory, filled: Filled) -> None:
    """Look at everything, and do what is left to do, by the newer key alone."""
    queue, ids = WorkQueue(memory, "jobs", max_attempts=3, result_ttl=600), filled.ids
    assert await queue.result(ids["done"], timeout=10) == "result of done"
    for name, payload, progress in (
        ("done", None, "half"),
        ("held", "held", "begun"),
        ("later", "later", None),
        ("replaced", "new", None),
        ("behind", "behind", None),
    ):
        status = await queue.status(ids[name])
        assert status is not None
        assert (status.payload, status.progress) == (payload, progress), name
    (dead,) = await queue.dead()
    assert (dead.id, dead.payload, dead.error) == (ids["dead"], "dead", "its error")
    assert [each.payload for each in await queue.schedules()] == [{"at": "night"}]
    assert await queue.retry_dead([dead.id]) == 1
    ready = await queue.claim(9, lease_ttl=600, wait=10)
    assert [each.payload for each in ready] == ["dead", "limited", "behind"]
    before = dict(await parts_of(memory).jobs.results_before("jobs", ids["behind"]))
    assert {decode(each) for each in before.values()} == {"result of done", "result of first"}
    for job in ready:
        await job.ack()
    await filled.claimed.ack("result of held")
    counts = await queue.stats()
    assert (counts.ready, counts.claimed, counts.delayed, counts.dead) == (0, 0, 2, 0)
    batches = WorkQueue(memory, "batched", max_attempts=1, result_ttl=600)
    (job,) = await batches.claim(wait=10)
    await job.ack("ack of c")
    (callback,) = await batches.claim(wait=10)
    assert (callback.payload, callback.batch_id) == ("then", ids["batch"])
    ended = [each async for each in batches.get_batch(ids["batch"]).results()]
    assert [each.state for each in ended] == ["done", "dead", "done"]
    assert [each.result or each.error for each in ended] == ["ack of a", "fail of b", "ack of c"]


async def test_no_job_is_lost_or_done_twice_while_workers_work(
    older: Memory, url: str, fleet: str
) -> None:
    queue = WorkQueue(older, "busy")
    ids = [await queue.put(at) for at in range(60)]
    seen: list[int] = []
    async with open_memory(url, fleet=fleet, keys=NEW) as newer:
        working = WorkQueue(newer, "busy")

        async def work() -> None:
            while len(seen) < len(ids):
                for job in await working.claim(2, lease_ttl=600, wait=1):
                    seen.append(job.payload)
                    await job.ack(job.payload)

        done, *_ = await asyncio.gather(transfer.rekey(newer, page_size=7), work(), work())
        assert sorted(seen) == list(range(60))
        assert done.complete
    async with open_memory(url, fleet=fleet, keys=ONLY_NEW) as newest:
        results = [await WorkQueue(newest, "busy").result(each, timeout=10) for each in ids]
        assert results == list(range(60))


def test_a_backend_that_can_not_exchange_texts_is_told_so() -> None:
    backend: Any = SimpleNamespace(jobs=object())
    with pytest.raises(ConfigurationError, match="the jobs of this backend can't be sealed anew"):
        CoordinationResealer(backend, NEW, "team")
