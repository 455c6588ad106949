"""Calls made at the same moment travel to the server together.

A *flight* is one request to the backend that carries many calls. A caller that is alone is sent at
once (a read in the caller's own task, a change in one that its cancellation can't cut short);
callers that come while others are under way gather and fly together. Calls on one key keep their
order: see ``flight.KeyOrder``; writes of one key share a flight in order.
"""

from __future__ import annotations

import asyncio
import math
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.flight import Call, KeyOrder, Lane
from lionagi_qe.persistence.retrying import persist
from lionagi_qe.persistence.room import Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

MAX_FLIGHT_BYTES = 4 * 1024 * 1024
# Below this many waiting calls a second flight costs more than it overlaps.
MIN_SHARED_FLIGHT = 16
MAX_ADMITTED_CALLS = 4096

_deadline = attrgetter("deadline")
_admitted = attrgetter("admitted")


class Batcher:
    """Schedules the calls of one memory; lives on one event loop, its ``loop``.

    Not more than ``max_admitted`` calls are held at once: further callers wait in line at
    ``admit`` before their values are even encoded. A call keeps its place until it has landed,
    also when its caller has gone.
    """

    def __init__(self, *, max_admitted: int = MAX_ADMITTED_CALLS) -> None:
        self.loop = asyncio.get_running_loop()
        self.room = Room(max_admitted)
        self._order = KeyOrder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._idle: asyncio.Event | None = None

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
        """Send ``item``, which touches these distinct keys.

        What comes back is to be awaited at once, for the result or the error; either comes by
        ``deadline`` (loop time).
        """
        call = Call(lane, item, keys, deadline, size, alone, admitted)
        self._order.acquire(call)
        at_once = not (lane.flights or lane.queue or lane.crowded or call.blockers)
        if at_once and not lane.mutates:
            return self._read_alone(call)
        future = call.future = self.loop.create_future()
        if at_once:
            # In a task of its own: a cancelled caller must not cut a change short whose request
            # is on its way, or it could land behind changes that others make after it.
            call.airborne = True
            self._launch(lane, [call])
        else:
            if not call.blockers:
                self._enqueue(call)
            if deadline < self._alarm_at:
                self._set_alarm(deadline)
        return future

    async def close(self) -> None:
        """Wait until every call has landed: each one does by its own deadline."""
        while self._order:
            self._idle = asyncio.Event()
            await self._idle.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._set_alarm(math.inf)

    # Flights

    def _enqueue(self, call: Call) -> None:
        lane = call.lane
        lane.queue.append(call)
        if not lane.flush_due and lane.flights < lane.max_flights:
            self._flush_soon(lane)

    def _flush_soon(self, lane: Lane) -> None:
        """Send what is queued one turn of the loop later: all who call in this turn are there."""
        lane.flush_due = True
        self.loop.call_soon(self._flush, lane)

    def _flush(self, lane: Lane) -> None:
        lane.flush_due = False
        while lane.queue and lane.flights < lane.max_flights:
            calls = self._board(lane)
            if not calls:
                break
            self._launch(lane, calls)

    def _launch(self, lane: Lane, calls: list[Call]) -> None:
        if lane.mutates:
            self._order.take_off(calls)
        lane.flights += 1
        task = self.loop.create_task(self._fly(lane, calls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _board(self, lane: Lane) -> list[Call]:
        """Take the calls of the next flight from the queue's head."""
        queue = lane.queue
        share = -(-len(queue) // (lane.max_flights - lane.flights))
        limit = min(lane.max_calls, max(MIN_SHARED_FLIGHT, share))
        calls: list[Call] = []
        left: list[Call] = []
        room = MAX_FLIGHT_BYTES
        while queue and len(calls) < limit:
            call = queue[0]
            if not call.awaited:
                left.append(queue.popleft())
                continue
            if calls and (call.alone or call.size > room):
                break
            if lane.mutates and not call.alone and self._order.is_flying(call.keys[0]):
                # The same key is in the air: its later writes follow when that has landed.
                break
            queue.popleft()
            call.airborne = True
            calls.append(call)
            if call.alone:
                break
            room -= call.size
        if left:
            # Nobody waits for them any more.
            self._release(left)
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

    def _land(self, lane: Lane, calls: list[Call]) -> None:
        lane.flights -= 1
        self._release(calls)
        if lane.queue and not lane.flush_due:
            self._flush_soon(lane)

    def _release(self, calls: list[Call]) -> None:
        """Give the calls' keys and places back, and let those in line behind them go on."""
        self.room.give(sum(map(_admitted, calls)))
        for call in self._order.release(calls):
            self._enqueue(call)
        if self._idle is not None and not self._order:
            self._idle.set()

    async def _perform(self, lane: Lane, calls: list[Call]) -> Sequence[Any]:
        try:
            deadline = max(map(_deadline, calls))
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

    def _set_alarm(self, at: float) -> None:
        """Look for callers whose time is up at that time of the loop (inf: never)."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self.loop.call_at(at, self._expire) if at < math.inf else None

    def _expire(self) -> None:
        """Fail the callers whose time is up, queued or in the air; their flight goes on."""
        now, following = self.loop.time(), math.inf
        for call in self._order.calls():
            if not call.awaited:
                continue
            if call.deadline <= now:
                _answer_all([call], [_late(call)])
            else:
                following = min(following, call.deadline)
        self._set_alarm(following)


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
