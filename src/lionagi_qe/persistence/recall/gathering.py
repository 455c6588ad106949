"""What several calls ask for at the same moment, asked for at once."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from lionagi_qe.errors import BackendTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


# Questions on their way at once: while one is answered, another is made up or sent.
_UNDER_WAY = 2


class Gathering(Generic[Item, Answer]):
    """Joins the questions of callers that ask at the same moment, or while others are answered.

    A question is sent after all who share it have asked, so that it answers each as if it had asked
    alone. Whoever is cancelled, or out of time, leaves the others their answer.

    Args:
        ask: returns one answer for distinct items, by a deadline (the loop's clock).
        most: items from which on a question is full: who comes later begins another.
    """

    def __init__(self, ask: Callable[[list[Item], float], Awaitable[Answer]], most: int) -> None:
        self._ask = ask
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._waiting: deque[_Question[Item, Answer]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._due = False

    async def get(self, items: Iterable[Item], deadline: float) -> Answer:
        """Return the answer to a question with these items among others.

        Raises:
            BackendTimeoutError: there was none by the deadline; and whatever ``ask`` raises.

        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # What another loop left behind ended with it.
            self._loop = loop
            self._begin_anew()
        if not self._waiting or len(self._waiting[-1].items) >= self._most:
            self._waiting.append(_Question(loop.create_future()))
        question = self._waiting[-1]
        question.items.update(dict.fromkeys(items))
        question.deadline = max(question.deadline, deadline)
        self._send_soon(loop)
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(question.answer)
        except BackendTimeoutError:
            raise
        except TimeoutError as error:
            msg = "the call did not end in time; raise timeout, or ask for less"
            raise BackendTimeoutError(msg) from error

    def _send_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send the next question a turn later: all who ask in this turn are there."""
        if self._waiting and not self._due and len(self._under_way) < _UNDER_WAY:
            self._due = True
            loop.call_soon(self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = False
        if not self._waiting:
            return
        question = self._waiting.popleft()
        task = loop.create_task(self._answer(question))
        self._under_way.add(task)
        task.add_done_callback(partial(self._answered, question, loop))
        self._send_soon(loop)

    async def _answer(self, question: _Question[Item, Answer]) -> None:
        try:
            answer = await self._ask([*question.items], question.deadline)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            question.answer.set_exception(error)
            # Everybody may have gone.
            question.answer.exception()
        else:
            question.answer.set_result(answer)

    def _answered(
        self,
        question: _Question[Item, Answer],
        loop: asyncio.AbstractEventLoop,
        task: asyncio.Task[None],
    ) -> None:
        self._under_way.discard(task)
        if task.cancelled():
            # Somebody cancels all tasks of the loop: nothing more is to be begun there.
            for each in (question, *self._waiting):
                each.answer.cancel()
            self._waiting.clear()
        self._send_soon(loop)


class _Question(Generic[Item, Answer]):
    """Items, the latest of the deadlines, and what is to come of it."""

    def __init__(self, answer: asyncio.Future[Answer]) -> None:
        self.items: dict[Item, None] = {}
        self.deadline = 0.0
        self.answer = answer
