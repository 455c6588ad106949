"""Calls that one event loop makes in another."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.errors import MemoryClosedError
from lionagi_qe.persistence.loop_crossing import LoopCrossing

if TYPE_CHECKING:
    from collections.abc import Generator

WHO: ContextVar[str] = ContextVar("WHO")


@contextmanager
def running_loop() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_each_call_has_its_own_result_error_and_context() -> None:
    async def work(at: int) -> tuple[int, str, asyncio.AbstractEventLoop]:
        await asyncio.sleep(0)
        if at == 3:
            raise ValueError("3")
        return at, WHO.get(), asyncio.get_running_loop()

    async def calling(crossing: LoopCrossing, at: int) -> object:
        WHO.set(f"caller {at}")
        return await crossing.call(lambda: work(at))

    with running_loop() as there:
        crossing = LoopCrossing(there)
        answers = await asyncio.gather(
            *(calling(crossing, at) for at in range(5)), return_exceptions=True
        )
    assert isinstance(answers.pop(3), ValueError)
    assert answers == [(at, f"caller {at}", there) for at in (0, 1, 2, 4)]


async def test_calls_of_one_turn_wake_the_other_loop_once() -> None:
    with running_loop() as there:
        crossing = LoopCrossing(there)
        woken: list[object] = []
        wake = there.call_soon_threadsafe

        def counted(*arguments: object) -> object:
            woken.append(arguments)
            return wake(*arguments)  # pyright: ignore[reportArgumentType,reportCallIssue]

        there.call_soon_threadsafe = counted  # type: ignore[method-assign]
        try:
            await asyncio.gather(*(crossing.call(lambda: asyncio.sleep(0)) for _ in range(50)))
        finally:
            there.call_soon_threadsafe = wake  # type: ignore[method-assign]
    assert len(woken) == 1


async def test_to_cancel_a_call_cancels_it_there() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with running_loop() as there:
        calling = asyncio.create_task(LoopCrossing(there).call(work))
        assert await asyncio.to_thread(begun.wait, 30)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await asyncio.to_thread(ended.wait, 30)


async def test_a_call_that_is_cancelled_before_it_crosses_is_never_made() -> None:
    made: list[int] = []

    async def work(at: int) -> None:
        made.append(at)

    with running_loop() as there:
        crossing = LoopCrossing(there)
        first = asyncio.create_task(crossing.call(lambda: work(1)))
        second = asyncio.create_task(crossing.call(lambda: work(2)))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert made in ([2], [1, 2])
    assert first.cancelled()


async def test_a_loop_that_was_closed_is_told() -> None:
    with running_loop() as there:
        crossing = LoopCrossing(there)
    with pytest.raises(MemoryClosedError):
        await crossing.call(lambda: asyncio.sleep(0))


async def test_callers_of_several_loops_share_the_other_one() -> None:
    with running_loop() as there:
        crossing = LoopCrossing(there)

        async def several() -> list[int]:
            return await asyncio.gather(*(crossing.call(_one) for _ in range(2)))

        found = await asyncio.gather(
            *(asyncio.to_thread(asyncio.run, several()) for _ in range(3)), several()
        )
    assert found == [[1, 1]] * 4


async def _one() -> int:
    return 1
