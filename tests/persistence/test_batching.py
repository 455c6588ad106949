"""The batcher alone, over a lane whose flights the test controls."""

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
from lionagi_qe.persistence.scheduling.batch import Flight, Lane
from lionagi_qe.persistence.scheduling.retry import persist
from lionagi_qe.persistence.scheduling.scheduler import Batcher
from lionagi_qe.persistence.server_support.limiter import Room

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@dataclass
class Runway:
    """Performs flights when it is told to, and keeps a log of them."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    flights: list[list[Any]] = field(default_factory=list[list[Any]])
    under_way: int = 0
    most_under_way: int = 0
    failing: list[Exception] = field(default_factory=list[Exception])

    async def perform(self, flight: Flight) -> Sequence[Any]:
        self.flights.append([*flight.items])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            if self.failing:
                raise self.failing.pop(0)
            return [InvalidValueError("bad") if item == "bad" else item for item in flight.items]
        finally:
            self.under_way -= 1


@pytest_asyncio.fixture
async def batcher() -> AsyncIterator[Batcher]:
    batcher = Batcher(max_admitted=10)
    yield batcher
    await batcher.close()


@pytest.fixture
def runway() -> Runway:
    return Runway()


def lane(runway: Runway, *, mutates: bool, max_flights: int = 2) -> Lane:
    return Lane(runway.perform, mutates=mutates, max_flights=max_flights)


async def test_a_lone_read_is_sent_in_its_callers_task(batcher: Batcher) -> None:
    tasks: list[Any] = []

    async def perform(flight: Flight) -> list[Any]:
        tasks.append(asyncio.current_task())
        return flight.items

    reads = Lane(perform, mutates=False, max_flights=2)
    assert await call(batcher, reads, 1, "a") == 1
    assert tasks == [asyncio.current_task()]


async def test_a_change_lands_before_what_follows_it_though_its_caller_was_cancelled(
    batcher: Batcher, runway: Runway
) -> None:
    writes = lane(runway, mutates=True)
    first = asyncio.create_task(call(batcher, writes, "first", "a"))
    await settle()
    first.cancel()
    second = asyncio.create_task(call(batcher, writes, "second", "a"))
    await settle()
    assert runway.flights == [["first"]]
    runway.gate.set()
    assert await second == "second"
    assert runway.flights == [["first"], ["second"]]
    assert first.cancelled()


async def test_calls_that_come_meanwhile_share_the_next_flight(
    batcher: Batcher, runway: Runway
) -> None:
    writes = lane(runway, mutates=True, max_flights=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(10)]
    await settle()
    assert runway.flights == [[0]]
    runway.gate.set()
    assert await asyncio.gather(*tasks) == list(range(10))
    assert runway.flights == [[0], list(range(1, 10))]


async def test_flights_at_once_are_limited(batcher: Batcher, runway: Runway) -> None:
    writes = lane(runway, mutates=True, max_flights=2)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(200)]
    await settle()
    runway.gate.set()
    await asyncio.gather(*tasks)
    assert runway.most_under_way <= 2


async def test_a_read_waits_for_the_writes_of_its_key_and_only_for_those(
    batcher: Batcher, runway: Runway
) -> None:
    reading = Runway()
    reading.gate.set()
    writes, reads = lane(runway, mutates=True), lane(reading, mutates=False)
    write = asyncio.create_task(call(batcher, writes, "w", "a"))
    await settle()
    read = asyncio.create_task(call(batcher, reads, "r", "a"))
    assert await call(batcher, reads, "other", "b") == "other"
    await settle()
    assert reading.flights == [["other"]]
    runway.gate.set()
    assert await asyncio.gather(write, read) == ["w", "r"]


async def test_writes_of_one_key_are_performed_in_order(batcher: Batcher, runway: Runway) -> None:
    writes = lane(runway, mutates=True)
    tasks = [asyncio.create_task(call(batcher, writes, at, "a")) for at in range(50)]
    await settle()
    runway.gate.set()
    await asyncio.gather(*tasks)
    assert [item for flight in runway.flights for item in flight] == list(range(50))
    assert runway.most_under_way == 1


async def test_a_failed_item_fails_its_caller_alone(batcher: Batcher, runway: Runway) -> None:
    writes = lane(runway, mutates=True, max_flights=1)
    items = [0, 1, "bad", 3]
    tasks = [asyncio.create_task(call(batcher, writes, item, str(item))) for item in items]
    await settle()
    runway.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[:2] + answers[3:] == [0, 1, 3]
    assert isinstance(answers[2], InvalidValueError)


async def test_a_cancelled_waiter_is_left_out_and_takes_nobody_along(
    batcher: Batcher, runway: Runway
) -> None:
    writes = lane(runway, mutates=True, max_flights=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(5)]
    await settle()
    tasks[2].cancel()
    await settle()
    runway.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert runway.flights == [[0], [1, 3, 4]]


@skipping
async def test_a_call_that_never_left_changed_nothing_one_in_the_air_perhaps(
    runway: Runway,
) -> None:
    batcher = Batcher()
    writes = lane(runway, mutates=True, max_flights=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at), 0.05)) for at in range(2)]
    flying, waiting = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(flying, OutcomeUnknownError)
    assert isinstance(waiting, BackendTimeoutError)
    assert waiting.outcome == "not_applied"
    await batcher.close()
    assert runway.flights == [[0]]


async def test_a_flight_that_was_not_applied_is_sent_again_one_unknown_is_not(
    batcher: Batcher, runway: Runway
) -> None:
    runway.gate.set()
    writes = lane(runway, mutates=True)
    runway.failing = [BackendUnavailableError("down"), BackendUnavailableError("down")]
    assert await call(batcher, writes, 1, "a") == 1
    assert runway.flights == [[1]] * 3
    runway.failing = [OutcomeUnknownError("lost")]
    with pytest.raises(OutcomeUnknownError):
        await call(batcher, writes, 2, "a")
    assert runway.flights[3:] == [[2]]


async def test_admission_is_bounded_and_ends_in_time(batcher: Batcher) -> None:
    for _ in range(10):
        await batcher.admit(soon())
    with pytest.raises(BackendTimeoutError, match="10 calls"):
        await batcher.admit(soon(0.02))
    batcher.room.give()
    await batcher.admit(soon())
    assert not batcher.room.take()


async def test_places_go_to_those_in_line_in_their_order_and_past_those_who_left() -> None:
    room = Room(1)
    assert room.take()
    first, second, third = (asyncio.create_task(room.wait(soon())) for _ in range(3))
    await settle()
    first.cancel()
    await settle()
    room.give()
    # Its turn has come, but it leaves before it runs: the place is the next one's.
    second.cancel()
    await third
    assert (first.cancelled(), second.cancelled()) == (True, True)
    assert not room.take()
    room.give()
    assert room.take()


async def test_a_call_keeps_its_place_until_it_has_landed(batcher: Batcher, runway: Runway) -> None:
    writes = lane(runway, mutates=True)
    task = asyncio.create_task(call(batcher, writes, 1, "a"))
    await settle()
    task.cancel()
    await settle()
    assert [batcher.room.take() for _ in range(10)] == [True] * 9 + [False]
    runway.gate.set()
    await settle()
    assert batcher.room.take()


async def test_trying_again_ends_with_the_time() -> None:
    async def fail() -> None:
        raise BackendUnavailableError("down")

    with pytest.raises(BackendUnavailableError, match="down"):
        await persist(fail, soon(0.05))


async def test_a_bug_of_a_backend_reaches_every_caller(batcher: Batcher, runway: Runway) -> None:
    writes = lane(runway, mutates=True, max_flights=1)
    tasks = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(3)]
    await settle()
    runway.failing = [ZeroDivisionError("bug"), ZeroDivisionError("bug")]
    runway.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ZeroDivisionError}


async def test_many_calls_share_the_free_flights_but_two_of_one_key_stay_together(
    runway: Runway,
) -> None:
    batcher = Batcher()
    writes = lane(runway, mutates=True)
    crowd = [asyncio.create_task(call(batcher, writes, at, str(at))) for at in range(3)]
    await settle()
    runway.gate.set()
    await asyncio.gather(*crowd)

    async def fly(keys: list[str]) -> None:
        runway.flights.clear()
        runway.gate.clear()
        calls = asyncio.gather(*(call(batcher, writes, at, key) for at, key in enumerate(keys)))
        await settle()
        runway.gate.set()
        await calls

    await fly([str(at) for at in range(40)])
    assert runway.flights == [list(range(20)), list(range(20, 40))]
    await fly([str(at % 39) for at in range(40)])
    assert runway.flights == [list(range(40))]
    await batcher.close()


async def test_a_flight_leaves_the_half_that_is_anothers_to_it() -> None:
    batcher = Batcher()
    flights: list[tuple[list[Any], asyncio.Event]] = []

    async def perform(flight: Flight) -> Sequence[Any]:
        flights.append((flight.items, asyncio.Event()))
        await flights[-1][1].wait()
        return flight.items

    writes = Lane(perform, mutates=True, max_flights=2)
    calls: list[asyncio.Task[Any]] = []

    async def begin(count: int) -> None:
        numbers = range(len(calls), len(calls) + count)
        calls.extend(asyncio.create_task(call(batcher, writes, at, str(at))) for at in numbers)
        await settle()

    await begin(1)
    await begin(20)
    assert [len(items) for items, _ in flights] == [1, 16]
    await begin(40)
    flights[0][1].set()
    await settle()
    assert [len(items) for items, _ in flights] == [1, 16, 30]
    flights[1][1].set()
    await settle()
    assert [len(items) for items, _ in flights] == [1, 16, 30, 14]
    for _, landed in flights[2:]:
        landed.set()
    await asyncio.gather(*calls)
    await batcher.close()


async def test_calls_go_on_though_somebody_cancels_all_tasks_between_two_flights(
    runway: Runway,
) -> None:
    batcher = Batcher()
    writes = lane(runway, mutates=True, max_flights=1)

    async def call_twice(at: int) -> None:
        await call(batcher, writes, at, str(at))
        cancel_all_but({*callers, test})
        await call(batcher, writes, at, str(at))

    test = asyncio.current_task()
    callers = {asyncio.create_task(call_twice(at)) for at in range(40)}
    await settle()
    runway.gate.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*callers)
        await batcher.close()


async def test_a_change_whose_task_is_cancelled_before_it_began_ends_and_holds_nobody_up(
    runway: Runway,
) -> None:
    batcher = Batcher()
    writes = lane(runway, mutates=True)
    first = asyncio.create_task(call(batcher, writes, "first", "a"))
    await asyncio.sleep(0)
    cancel_all_but({first, asyncio.current_task()})
    runway.gate.set()
    async with asyncio.timeout(5):
        with pytest.raises((BackendTimeoutError, OutcomeUnknownError)):
            await first
        assert await call(batcher, writes, "second", "a") == "second"
        await batcher.close()


def cancel_all_but(kept: set[asyncio.Task[Any] | None]) -> None:
    for task in asyncio.all_tasks() - kept:
        task.cancel()
