"""Questions of one moment are asked at once, and each caller has his own deadline and fate."""

from __future__ import annotations

import asyncio

import pytest

from lionagi_qe.errors import BackendTimeoutError
from lionagi_qe.persistence.recall.gathering import Gathering


class Server:
    """Answers with the squares of the items, when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    async def ask(self, items: list[int], _: float) -> dict[int, int]:
        self.asked.append(items)
        self.reached.set()
        await self.open.wait()
        if -1 in items:
            raise ValueError("-1")
        return {item: item * item for item in items}


def soon() -> float:
    return asyncio.get_running_loop().time() + 60


async def test_those_who_ask_in_one_turn_share_a_question() -> None:
    server = Server()
    gathering = Gathering(server.ask, 100)
    answers = await asyncio.gather(*(gathering.get([at, 7], soon()) for at in range(5)))
    assert server.asked == [[0, 7, 1, 2, 3, 4]]
    assert [answer[at] for at, answer in enumerate(answers)] == [0, 1, 4, 9, 16]


async def test_who_comes_while_a_question_is_under_way_has_the_next() -> None:
    server = Server()
    server.open.clear()
    gathering = Gathering(server.ask, 2)
    asking = asyncio.gather(*(gathering.get([at], soon()) for at in range(5)))
    await server.reached.wait()
    late = asyncio.create_task(gathering.get([9], soon()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.asked == [[0, 1], [2, 3]]
    server.open.set()
    await asking
    assert (await late)[9] == 81
    assert server.asked == [[0, 1], [2, 3], [4, 9]]


async def test_who_is_cancelled_or_late_takes_no_answer_from_others() -> None:
    server = Server()
    server.open.clear()
    gathering = Gathering(server.ask, 100)
    loop = asyncio.get_running_loop()
    stays = asyncio.create_task(gathering.get([3], soon()))
    leaves = asyncio.create_task(gathering.get([4], soon()))
    late = asyncio.create_task(gathering.get([5], loop.time()))
    with pytest.raises(BackendTimeoutError):
        await late
    leaves.cancel()
    server.open.set()
    assert (await stays)[3] == 9
    assert leaves.cancelled()


async def test_an_error_reaches_all_who_asked_and_the_next_question_none() -> None:
    server = Server()
    gathering = Gathering(server.ask, 100)
    asked = await asyncio.gather(
        gathering.get([-1], soon()), gathering.get([2], soon()), return_exceptions=True
    )
    assert [type(each) for each in asked] == [ValueError, ValueError]
    assert (await gathering.get([2], soon()))[2] == 4


async def test_a_loop_whose_tasks_were_all_cancelled_leaves_nobody_waiting() -> None:
    server = Server()
    server.open.clear()
    gathering = Gathering(server.ask, 100)
    waiting = asyncio.create_task(gathering.get([1], soon()))
    await server.reached.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    server.open.set()
    assert (await gathering.get([2], soon()))[2] == 4


def test_another_event_loop_begins_anew() -> None:
    async def ask(items: list[int], _: float) -> list[int]:
        if items != [9]:
            await asyncio.Event().wait()
        return items

    gathering = Gathering(ask, 1)

    async def left_behind() -> None:
        asking = [asyncio.create_task(gathering.get([at], soon())) for at in range(4)]
        await asyncio.wait(asking, timeout=0)

    async def goes_on() -> None:
        assert await gathering.get([9], soon()) == [9]

    for each in (left_behind(), goes_on()):
        # Leaves the thread's own loop alone, which older releases of pytest-asyncio count on.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(each)
