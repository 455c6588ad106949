"""The batcher alone, over a channel whose batches the test controls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.persistence.calling import call, settle, soon
from tests.persistence.skipping import skipping

from lionagi_qe.errors import (
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidValueError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.scheduling.batch import Channel
from lionagi_qe.persistence.scheduling.batcher import Batcher
from lionagi_qe.persistence.scheduling.retry import retry
from lionagi_qe.persistence.server_support.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@dataclass
class Server:
    """Performs batches when it is told to, and keeps a log of them."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[list[Any]] = field(default_factory=list[list[Any]])
    under_way: int = 0
    most_under_way: int = 0
    failing: list[Exception] = field(default_factory=list[Exception])

    async def perform(self, items: list[Any]) -> Sequence[Any]:
        self.batches.append([*items])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            if self.failing:
                raise self.failing.pop(0)
            return [InvalidValueError("bad") if item == "bad" else item for item in items]
        finally:
            self.under_way -= 1


@pytest_asyncio.fixture
async def batcher() -> AsyncIterator[Batcher]:
    batcher = Batcher(max_admitted=10)
    yield batcher
    await batcher.close()


@pytest.fixture
def server() -> Server:
    return Server()


def channel(server: Server, *, mutates: bool, max_batches: int = 2) -> Channel:
    return Channel(server.perform, mutates=mutates, max_batches=max_batches)


async def test_a_lone_read_is_sent_in_its_callers_task(batcher: Batcher) -> None:
    tasks: list[Any] = []

    async def perform(items: list[Any]) -> list[Any]:
        tasks.append(asyncio.current_task())
        return items

    reads = Channel(perform, mutates=False, max_batches=2)
    assert await call(batcher, reads, 1, "a") == 1
    assert tasks == [asyncio.current_task()]


async def test_a_change_is_applied_before_what_follows_it_though_its_caller_was_cancelled(
    batcher: Batcher, server: Server
) -> None:
    writes = channel(server, mutates=True)
    first = asyncio.create_task(call(batcher, writes, "first", "a"))
    await settle()
    first.cancel()
    second = asyncio.create_task(call(batcher, writes, "second", "a"))
    await settle()
    assert server.batches == [["first"]]
    server.gate.set()
    assert await second == "second"
    assert server.batches == [["first"], ["second"]]
    assert first.cancelled()


async def test_calls_that_come_meanwhile_share_the_next_flight(
    batcher: Batcher, server: Server
) -> None:
    writes = channel(server, mutates=True, max_batches=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(10)]
    await settle()
    assert server.batches == [[0]]
    server.gate.set()
    assert await asyncio.gather(*tasks) == list(range(10))
    assert server.batches == [[0], list(range(1, 10))]


async def test_batches_at_once_are_limited(batcher: Batcher, server: Server) -> None:
    writes = channel(server, mutates=True, max_batches=2)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(200)]
    await settle()
    server.gate.set()
    await asyncio.gather(*tasks)
    assert server.most_under_way <= 2


async def test_a_read_waits_for_the_writes_of_its_key_and_only_for_those(
    batcher: Batcher, server: Server
) -> None:
    reading = Server()
    reading.gate.set()
    writes, reads = channel(server, mutates=True), channel(reading, mutates=False)
    write = asyncio.create_task(call(batcher, writes, "w", "a"))
    await settle()
    read = asyncio.create_task(call(batcher, reads, "r", "a"))
    assert await call(batcher, reads, "other", "b") == "other"
    await settle()
    assert reading.batches == [["other"]]
    server.gate.set()
    assert await asyncio.gather(write, read) == ["w", "r"]


async def test_writes_of_one_key_are_performed_in_order(batcher: Batcher, server: Server) -> None:
    writes = channel(server, mutates=True)
    tasks = [asyncio.create_task(call(batcher, writes, at, "a")) for at in range(50)]
    await settle()
    server.gate.set()
    await asyncio.gather(*tasks)
    assert [item for batch in server.batches for item in batch] == list(range(50))
    assert server.most_under_way == 1


async def test_a_failed_item_fails_its_caller_alone(batcher: Batcher, server: Server) -> None:
    writes = channel(server, mutates=True, max_batches=1)
    items = [0, 1, "bad", 3]
    tasks = [asyncio.create_task(call(batcher, writes, item, str(item))) for item in items]
    await settle()
    server.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[:2] + answers[3:] == [0, 1, 3]
    assert isinstance(answers[2], InvalidValueError)


async def test_a_cancelled_waiter_is_left_out_and_takes_nobody_along(
    batcher: Batcher, server: Server
) -> None:
    writes = channel(server, mutates=True, max_batches=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(5)]
    await settle()
    tasks[2].cancel()
    await settle()
    server.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert server.batches == [[0], [1, 3, 4]]


@skipping
async def test_a_call_that_never_left_changed_nothing_one_that_left_perhaps(
    server: Server,
) -> None:
    batcher = Batcher()
    writes = channel(server, mutates=True, max_batches=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at), 0.05)) for at in range(2)]
    sent, waiting = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(sent, OutcomeUnknownError)
    assert isinstance(waiting, BackendTimeoutError)
    assert waiting.outcome == "not_applied"
    await batcher.close()
    assert server.batches == [[0]]


async def test_a_batch_that_was_not_applied_is_sent_again_one_unknown_is_not(
    batcher: Batcher, server: Server
) -> None:
    server.gate.set()
    writes = channel(server, mutates=True)
    server.failing = [BackendUnavailableError("down"), BackendUnavailableError("down")]
    assert await call(batcher, writes, 1, "a") == 1
    assert server.batches == [[1]] * 3
    server.failing = [OutcomeUnknownError("lost")]
    with pytest.raises(OutcomeUnknownError):
        await call(batcher, writes, 2, "a")
    assert server.batches[3:] == [[2]]


async def test_admission_is_bounded_and_ends_in_time(batcher: Batcher) -> None:
    for _ in range(10):
        await batcher.admit(soon())
    with pytest.raises(BackendTimeoutError, match="10 calls were under way and none ended"):
        await batcher.admit(soon(0.02))
    batcher.limiter.release()
    await batcher.admit(soon())
    assert not batcher.limiter.free


async def test_who_waits_in_vain_while_others_are_answered_is_told_so(batcher: Batcher) -> None:
    async def perform(items: list[Any]) -> Sequence[Any]:
        await asyncio.sleep(0.01)
        return items

    writes = Channel(perform, mutates=True, max_batches=1, max_calls=1)
    calls = [asyncio.create_task(call(batcher, writes, at, str(at), 0.2)) for at in range(200)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[0] == 0
    late = [answer for answer in answers if isinstance(answer, BackendTimeoutError)]
    assert "the server answers, but not all in that time" in str(late[-1])


async def test_places_go_to_those_in_line_in_their_order_and_past_those_who_left() -> None:
    limiter = Limiter(1)
    limiter.free -= 1
    first, second, third = (asyncio.create_task(limiter.wait(soon())) for _ in range(3))
    await settle()
    first.cancel()
    await settle()
    limiter.release()
    # Its turn has come, but it leaves before it runs: the place is the next one's.
    second.cancel()
    await third
    assert (first.cancelled(), second.cancelled()) == (True, True)
    assert not limiter.free
    limiter.release()
    assert limiter.free


async def test_a_call_keeps_its_place_until_it_is_completed(
    batcher: Batcher, server: Server
) -> None:
    writes = channel(server, mutates=True)
    task = asyncio.create_task(call(batcher, writes, 1, "a"))
    await settle()
    task.cancel()
    await settle()
    assert batcher.limiter.free == 9
    server.gate.set()
    await settle()
    assert batcher.limiter.free


async def test_trying_again_ends_with_the_time() -> None:
    async def fail() -> None:
        raise BackendUnavailableError("down")

    with pytest.raises(BackendUnavailableError, match="down"):
        await retry(fail, soon(0.05))


async def test_a_bug_of_a_backend_reaches_every_caller(batcher: Batcher, server: Server) -> None:
    writes = channel(server, mutates=True, max_batches=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(3)]
    await settle()
    server.failing = [ZeroDivisionError("bug"), ZeroDivisionError("bug")]
    server.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ZeroDivisionError}


async def test_many_calls_share_the_free_batches_but_two_of_one_key_stay_together(
    server: Server,
) -> None:
    batcher = Batcher()
    writes = channel(server, mutates=True)
    crowd = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(3)]
    await settle()
    server.gate.set()
    await asyncio.gather(*crowd)

    async def send(keys: list[str]) -> None:
        server.batches.clear()
        server.gate.clear()
        calls = asyncio.gather(*(call(batcher, writes, at, key) for at, key in enumerate(keys)))
        await settle()
        server.gate.set()
        await calls

    await send([str(at) for at in range(40)])
    assert server.batches == [list(range(20)), list(range(20, 40))]
    await send([str(at % 39) for at in range(40)])
    assert server.batches == [list(range(40))]
    await batcher.close()


async def test_a_batch_leaves_the_half_that_is_anothers_to_it() -> None:
    batcher = Batcher()
    batches: list[tuple[list[Any], asyncio.Event]] = []

    async def perform(items: list[Any]) -> Sequence[Any]:
        batches.append((items, asyncio.Event()))
        await batches[-1][1].wait()
        return items

    writes = Channel(perform, mutates=True, max_batches=2)
    calls: list[asyncio.Task[Any]] = []

    async def begin(count: int) -> None:
        numbers = range(len(calls), len(calls) + count)
        calls.extend(asyncio.create_task(call(batcher, writes, at, str(at))) for at in numbers)
        await settle()

    await begin(1)
    await begin(20)
    assert [len(items) for items, _ in batches] == [1, 16]
    await begin(40)
    batches[0][1].set()
    await settle()
    assert [len(items) for items, _ in batches] == [1, 16, 30]
    batches[1][1].set()
    await settle()
    assert [len(items) for items, _ in batches] == [1, 16, 30, 14]
    for _, ended in batches[2:]:
        ended.set()
    await asyncio.gather(*calls)
    await batcher.close()


async def test_calls_go_on_though_somebody_cancels_all_tasks_between_two_batches(
    server: Server,
) -> None:
    batcher = Batcher()
    writes = channel(server, mutates=True, max_batches=1)

    async def call_twice(at: int) -> None:
        await call(batcher, writes, at, str(at))
        cancel_all_but({*callers, test})
        await call(batcher, writes, at, str(at))

    test = asyncio.current_task()
    callers = {asyncio.create_task(call_twice(at)) for at in range(40)}
    await settle()
    server.gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*callers)
        await batcher.close()


async def test_a_change_whose_task_is_cancelled_before_it_began_ends_and_holds_nobody_up(
    server: Server,
) -> None:
    batcher = Batcher()
    writes = channel(server, mutates=True)
    first = asyncio.create_task(call(batcher, writes, "first", "a"))
    await asyncio.sleep(0)
    cancel_all_but({first, asyncio.current_task()})
    server.gate.set()
    async with asyncio.timeout(5):
        with pytest.raises((BackendTimeoutError, OutcomeUnknownError)):
            await first
        assert await call(batcher, writes, "second", "a") == "second"
        await batcher.close()


def cancel_all_but(kept: set[asyncio.Task[Any] | None]) -> None:
    for task in asyncio.all_tasks() - kept:
        task.cancel()
