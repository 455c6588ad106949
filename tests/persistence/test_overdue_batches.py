"""How batches end whose time is up: by the batcher's alarm, whatever the server does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.persistence.calling import call, settle
from tests.persistence.skipping import skipping

from lionagi_qe.errors import BackendTimeoutError, InvalidValueError, OutcomeUnknownError
from lionagi_qe.persistence.scheduling.batch import Channel
from lionagi_qe.persistence.scheduling.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


class SilentServer:
    """Begins batches and never answers; tells who was cut off."""

    def __init__(self) -> None:
        self.begun: list[list[Any]] = []
        self.cut_off: list[list[Any]] = []
        self.goodbye: Callable[[], Awaitable[object]] | None = None

    async def perform(self, items: list[Any]) -> Sequence[Any]:
        self.begun.append([*items])
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cut_off.append([*items])
            if self.goodbye is not None:
                await self.goodbye()
            raise
        return []

    def channel(self, *, mutates: bool) -> Channel:
        return Channel(self.perform, mutates=mutates, max_batches=2)


def requests_to_cancel() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@skipping
async def test_a_lone_read_of_a_silent_server_ends_in_time_and_its_task_goes_on() -> None:
    server, batcher = SilentServer(), Batcher()
    reads = server.channel(mutates=False)
    for key in ("a", "b"):
        with pytest.raises(BackendTimeoutError):
            await call(batcher, reads, key, key, 0.02)
        assert requests_to_cancel() == 0
        await asyncio.sleep(0)
    assert server.cut_off == [["a"], ["b"]]
    await batcher.close()


@skipping
async def test_a_lone_change_on_a_silent_server_is_unknown_in_time() -> None:
    server, batcher = SilentServer(), Batcher()
    with pytest.raises(OutcomeUnknownError):
        await call(batcher, server.channel(mutates=True), "a", "a", 0.02)
    await batcher.close()
    assert server.cut_off == [["a"]]


@skipping
async def test_a_shorter_timeout_of_the_caller_stays_the_callers() -> None:
    server, batcher = SilentServer(), Batcher()
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.02):
            await call(batcher, server.channel(mutates=False), "a", "a", 5)
    assert not isinstance(caught.value, BackendTimeoutError)
    assert requests_to_cancel() == 0
    assert server.cut_off == [["a"]]
    await batcher.close()


@skipping
async def test_a_caller_that_is_cancelled_while_its_late_read_ends_stays_cancelled() -> None:
    server, batcher = SilentServer(), Batcher()
    leaving = asyncio.Event()

    async def leave_slowly() -> None:
        leaving.set()
        await asyncio.sleep(60)

    server.goodbye = leave_slowly
    reading = asyncio.create_task(call(batcher, server.channel(mutates=False), "a", "a", 0.02))
    await leaving.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await batcher.close()


@skipping
async def test_a_backend_that_makes_another_error_of_the_cut_leaves_the_task_as_it_was() -> None:
    server, batcher = SilentServer(), Batcher()

    async def complain() -> None:
        message = "half of it"
        raise InvalidValueError(message)

    server.goodbye = complain
    with pytest.raises(InvalidValueError, match="half of it"):
        await call(batcher, server.channel(mutates=False), "a", "a", 0.02)
    assert requests_to_cancel() == 0
    await batcher.close()


@skipping
async def test_a_batch_that_everybody_left_ends_by_the_last_deadline_aboard() -> None:
    server, batcher = SilentServer(), Batcher()
    writes = server.channel(mutates=True)
    callers = [
        asyncio.create_task(call(batcher, writes, str(at), str(at), 0.05)) for at in range(40)
    ]
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert not server.cut_off
    async with asyncio.timeout(5):
        await batcher.close()
    assert sorted(server.cut_off) == sorted(server.begun)


@skipping
async def test_each_caller_aboard_waits_as_long_as_it_asked_and_the_batch_for_the_last() -> None:
    server, batcher = SilentServer(), Batcher()
    writes = Channel(server.perform, mutates=True, max_batches=1)
    first = asyncio.create_task(call(batcher, writes, "first", "first", 0.02))
    await settle()
    early = asyncio.create_task(call(batcher, writes, "early", "early", 0.1))
    late = asyncio.create_task(call(batcher, writes, "late", "late", 1))
    with pytest.raises(OutcomeUnknownError):
        await first
    with pytest.raises(OutcomeUnknownError):
        await early
    assert server.begun == [["first"], ["early", "late"]]
    assert server.cut_off == [["first"]]
    assert not late.done()
    with pytest.raises(OutcomeUnknownError):
        await late
    await batcher.close()
    assert server.cut_off == server.begun


@skipping
async def test_a_plain_timeout_of_a_backend_reads_as_one_of_ours() -> None:
    async def perform(items: list[Any]) -> Sequence[Any]:
        raise TimeoutError(items)

    batcher = Batcher()
    with pytest.raises(BackendTimeoutError):
        await call(batcher, Channel(perform, mutates=False, max_batches=1), "a", "a", 5)
    with pytest.raises(OutcomeUnknownError):
        await call(batcher, Channel(perform, mutates=True, max_batches=1), "a", "a", 5)
    await batcher.close()


@skipping
async def test_when_each_call_is_tried_by_itself_one_that_hangs_delays_the_rest_no_longer() -> None:
    gate = asyncio.Event()

    async def perform(items: list[Any]) -> Sequence[Any]:
        if len(items) > 1:
            message = "one of these"
            raise InvalidValueError(message)
        if items == ["first"]:
            await gate.wait()
        if items == ["hangs"]:
            await asyncio.get_running_loop().create_future()
        return items

    batcher = Batcher()
    writes = Channel(perform, mutates=True, max_batches=1)
    first = asyncio.create_task(call(batcher, writes, "first", "first", 5))
    await settle()
    hanging = asyncio.create_task(call(batcher, writes, "hangs", "hangs", 0.05))
    others = [asyncio.create_task(call(batcher, writes, str(at), str(at), 5)) for at in range(3)]
    await settle()
    gate.set()
    assert await first == "first"
    with pytest.raises(OutcomeUnknownError):
        await hanging
    assert await asyncio.gather(*others) == ["0", "1", "2"]
    await batcher.close()
