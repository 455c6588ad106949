"""Calls made at the same moment travel to the server together.

A *flight* is one request to the backend that carries many calls. A caller that is alone is sent at
once (a read in the caller's own task, a change in one that its cancellation can't cut short);
callers that come while others are under way gather and fly together. Calls on one key keep their
order: a read waits for the writes before it, a write for the reads and flights before it, and
writes of one key share a flight in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.retrying import persist
from lionagi_qe.persistence.room import Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

MAX_FLIGHT_CALLS = 512
MAX_FLIGHT_BYTES = 4 * 1024 * 1024
# Below this many waiting calls a second flight costs more than it overlaps.
MIN_SHARED_FLIGHT = 16
MAX_ADMITTED_CALLS = 4096


class _KeyState:
    """Who holds one key: calls that are queued or in the air, and those parked behind them."""

    __slots__ = ("flying", "parked", "readers", "writers")

    def __init__(self) -> None:
        self.readers = 0
        self.writers = 0
        self.flying = False
        self.parked: deque[Call] | None = None

    def refuses(self, call: Call) -> bool:
        """Whether the call must wait in line, were nobody in line before it."""
        if not call.lane.mutates:
            return self.writers > 0
        # Queued writes of one key share a flight, but a batch flies by itself: it would hold the
        # key against those that were queued before it.
        return bool(self.readers or self.flying or (call.alone and self.writers))


class Call:
    """One caller's request: an item for the lane, the keys it touches, and the answer's future.

    ``admitted``: it holds a place in the batcher's room until it has landed.
    """

    __slots__ = (
        "admitted",
        "airborne",
        "alone",
        "blockers",
        "deadline",
        "future",
        "item",
        "keys",
        "lane",
        "size",
    )

    def __init__(  # noqa: PLR0913 - a plain record
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401 - each lane has its own kind of item
        keys: Sequence[str],
        deadline: float,
        size: int,
        *,
        alone: bool,
        admitted: bool,
    ) -> None:
        self.lane = lane
        self.item = item
        self.keys = keys
        self.deadline = deadline
        self.size = size
        self.alone = alone
        self.admitted = admitted
        self.future: asyncio.Future[Any] | None = None
        self.airborne = False
        self.blockers = 0

    @property
    def answered(self) -> bool:
        """Whether there is an answer, or nobody waits for it any more."""
        return self.future is not None and self.future.done()


@dataclass(eq=False)
class Lane:
    """A kind of flight, with its own queue and its own number of flights at once.

    ``perform`` takes the calls of one flight and returns a result, or the caller's own AqeError,
    for each.
    """

    perform: Callable[[list[Call]], Awaitable[Sequence[Any]]]
    mutates: bool
    max_flights: int
    queue: deque[Call] = field(default_factory=deque[Call])
    flights: int = 0
    crowded: bool = False
    flush_due: bool = False


class Batcher:
    """Schedules the calls of one memory; lives on one event loop.

    Not more than ``max_admitted`` calls are held at once: further callers wait in line at
    ``admit`` before their values are even encoded. A call keeps its place until it has landed,
    also when its caller has gone.
    """

    def __init__(self, *, max_admitted: int = MAX_ADMITTED_CALLS) -> None:
        self._loop = asyncio.get_running_loop()
        self.room = Room(max_admitted)
        self._keys: dict[str, _KeyState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: deque[Call] = deque()
        self._watchdog: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that this batcher was made on and serves."""
        return self._loop

    async def admit(self, deadline: float) -> None:
        """Take a place in the room, for a call that is submitted as ``admitted``."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.room.wait()
        except TimeoutError as error:
            msg = (
                f"{self.room.places} calls were under way and none ended in time; nothing was "
                "sent; make fewer calls at once, or raise timeout"
            )
            raise BackendTimeoutError(msg) from error

    def submit(  # noqa: PLR0913 - keyword-only but for the first three
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401
        keys: Sequence[str],
        *,
        deadline: float,
        size: int = 0,
        alone: bool = False,
        admitted: bool = False,
    ) -> Awaitable[Any]:
        """Send ``item``; to be awaited at once, for its result or its error.

        It comes by ``deadline`` (loop time).
        """
        call = Call(lane, item, keys, deadline, size, alone=alone, admitted=admitted)
        self._acquire(call)
        at_once = not (call.blockers or lane.flights or lane.queue or lane.crowded)
        if at_once and not lane.mutates:
            return self._read_alone(call)
        call.future = self._loop.create_future()
        if at_once:
            # In a task of its own: a cancelled caller must not cut a change short whose request
            # is on its way, or it could land behind changes that others make after it.
            self._launch(lane, [call])
        else:
            if not call.blockers:
                self._enqueue(call)
            self._watch(call)
        return call.future

    async def close(self) -> None:
        """Wait until every call has landed: each one does by its own deadline."""
        await self._idle.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    # Keys

    def _acquire(self, call: Call) -> None:
        """Take each of the call's keys, or get in line behind those who hold it."""
        self._idle.clear()
        for key in call.keys:
            state = self._keys.get(key)
            if state is None:
                state = self._keys[key] = _KeyState()
            elif state.parked or state.refuses(call):
                if state.parked is None:
                    state.parked = deque()
                state.parked.append(call)
                call.blockers += 1
                continue
            _hold(state, call)

    def _release(self, call: Call) -> None:
        """Give the call's keys and place back, and let those in line behind it go on."""
        if call.admitted:
            self.room.give()
        for key in call.keys:
            state = self._keys[key]
            if call.lane.mutates:
                state.writers -= 1
                state.flying = False
            else:
                state.readers -= 1
            if not (state.readers or state.writers):
                if state.parked:
                    self._unpark(state)
                if not (state.readers or state.writers or state.parked):
                    del self._keys[key]
        if not self._keys:
            self._idle.set()

    def _unpark(self, state: _KeyState) -> None:
        parked, state.parked = state.parked, None
        while parked and not state.refuses(parked[0]):
            call = parked.popleft()
            _hold(state, call)
            call.blockers -= 1
            if not call.blockers:
                self._enqueue(call)
        state.parked = parked or None

    # Flights

    def _enqueue(self, call: Call) -> None:
        lane = call.lane
        lane.queue.append(call)
        if not lane.flush_due and lane.flights < lane.max_flights:
            # One turn of the loop later, so that all who call in this turn are there.
            lane.flush_due = True
            self._loop.call_soon(self._flush, lane)

    def _flush(self, lane: Lane) -> None:
        lane.flush_due = False
        while lane.queue and lane.flights < lane.max_flights:
            calls = self._board(lane)
            if not calls:
                break
            self._launch(lane, calls)

    def _launch(self, lane: Lane, calls: list[Call]) -> None:
        for call in calls:
            call.airborne = True
            if lane.mutates:
                for key in call.keys:
                    self._keys[key].flying = True
        lane.flights += 1
        task = self._loop.create_task(self._fly(lane, calls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _board(self, lane: Lane) -> list[Call]:
        """Take the calls of the next flight from the queue's head."""
        share = -(-len(lane.queue) // (lane.max_flights - lane.flights))
        limit = min(MAX_FLIGHT_CALLS, max(MIN_SHARED_FLIGHT, share))
        calls: list[Call] = []
        room = MAX_FLIGHT_BYTES
        while lane.queue and len(calls) < limit:
            call = lane.queue[0]
            if call.future is not None and call.future.done():
                # Nobody waits for it any more.
                lane.queue.popleft()
                self._release(call)
                continue
            if calls and (call.alone or calls[0].alone or call.size > room):
                break
            if not call.alone and lane.mutates and self._keys[call.keys[0]].flying:
                # The same key is in the air: its later writes follow when that has landed.
                break
            lane.queue.popleft()
            room -= call.size
            calls.append(call)
        return calls

    async def _read_alone(self, call: Call) -> Any:  # noqa: ANN401
        lane = call.lane
        lane.flights += 1
        try:
            (result,) = await self._perform(lane, [call])
        finally:
            self._land(lane, [call])
        if isinstance(result, AqeError):
            raise result
        return result

    async def _fly(self, lane: Lane, calls: list[Call]) -> None:
        lane.crowded = len(calls) > 1 or bool(lane.queue)
        try:
            _answer_all(calls, await self._perform(lane, calls))
        except Exception as error:  # noqa: BLE001 - a backend's bug reaches every caller
            _answer_all(calls, [error] * len(calls))
        except BaseException:
            # A flight cancelled from outside.
            _answer_all(calls, [_late(call) for call in calls])
            raise
        finally:
            self._land(lane, calls)
            self._forget_answered()

    def _land(self, lane: Lane, calls: list[Call]) -> None:
        lane.flights -= 1
        for call in calls:
            self._release(call)
        if lane.queue and not lane.flush_due:
            lane.flush_due = True
            self._loop.call_soon(self._flush, lane)

    async def _perform(self, lane: Lane, calls: list[Call]) -> Sequence[Any]:
        try:
            deadline = max(call.deadline for call in calls)
            async with asyncio.timeout_at(deadline):
                return await persist(lambda: lane.perform(calls), deadline)
        except TimeoutError as error:
            if isinstance(error, AqeError):
                return [error] * len(calls)
            return [_late(call, airborne=True) for call in calls]
        except BackendUnavailableError as error:
            return [error] * len(calls)
        except AqeError as error:
            if len(calls) == 1:
                return [error]
        # The server refused the flight as a whole and applied nothing: find whose fault it is.
        return [(await self._perform(lane, [call]))[0] for call in calls]

    # Deadlines

    def _watch(self, call: Call) -> None:
        self._pending.append(call)
        if self._watchdog is None or self._watchdog.when() > call.deadline:
            if self._watchdog is not None:
                self._watchdog.cancel()
            self._watchdog = self._loop.call_at(call.deadline, self._expire)

    def _expire(self) -> None:
        """Fail the callers whose time is up, queued or in the air; their flight goes on."""
        now = self._loop.time()
        for call in self._pending:
            if call.deadline <= now:
                _answer_all([call], [_late(call)])
        self._forget_answered()
        waiting = [call.deadline for call in self._pending if not call.answered]
        self._watchdog = self._loop.call_at(min(waiting), self._expire) if waiting else None

    def _forget_answered(self) -> None:
        pending = self._pending
        while pending and pending[0].answered:
            pending.popleft()


def _hold(state: _KeyState, call: Call) -> None:
    if call.lane.mutates:
        state.writers += 1
        # A batch holds its keys from now on: nothing may overtake it while it waits for others.
        state.flying = state.flying or call.alone
    else:
        state.readers += 1


def _answer_all(calls: Sequence[Call], results: Sequence[Any]) -> None:
    for call, result in zip(calls, results, strict=True):
        future = call.future
        if future is None or future.done():
            continue
        if isinstance(result, Exception):
            # Each caller gets an exception of its own: tracebacks grow on the shared one.
            future.set_exception(_copy(result))
        else:
            future.set_result(result)


def _copy(error: Exception) -> Exception:
    if not isinstance(error, BackendUnavailableError):
        return error
    copied = type(error)(*error.args)
    copied.outcome = error.outcome
    copied.__cause__ = error.__cause__
    return copied


def _late(call: Call, *, airborne: bool = False) -> BackendUnavailableError:
    if call.lane.mutates and (airborne or call.airborne):
        return OutcomeUnknownError(
            "no answer from the server in time: the change may or may not have been applied; "
            "read the entry to find out",
        )
    return BackendTimeoutError(
        "no answer from the server in time; nothing was changed; "
        "check that it is up and not overloaded, or raise timeout",
    )
