"""Calls made at the same moment travel to the server together.

A *flight* is one request to the backend that carries many calls. A caller that is alone is sent at
once (a read in the caller's own task, a change in one that its cancellation can't cut short);
callers that come while others are under way gather and fly together. Calls on one key keep their
order: see ``flight.KeyOrder``; writes of one key share a flight in order.
"""

from __future__ import annotations

import asyncio
import math
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
)
from lionagi_qe.persistence.contract.refused import PartlyRefused, is_worth_retrying
from lionagi_qe.persistence.scheduling.batch import MAX_FLIGHT_BYTES, Flight, KeyOrder, Lane
from lionagi_qe.persistence.scheduling.deadlines import (
    answer,
    answer_all,
    end_if_overdue,
    fail_the_late,
    late,
)
from lionagi_qe.persistence.scheduling.retry import RETRY_PAUSE, persist
from lionagi_qe.persistence.server_support.limiter import Room

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence

# Below this many waiting calls a second flight costs more than it overlaps.
MIN_SHARED_FLIGHT = 16
MAX_ADMITTED_CALLS = 4096


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
        self._holders = self._order.holders
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._idle: asyncio.Event | None = None

    async def admit(self, deadline: float) -> None:
        """Take a place in the room, which ``submit`` needs and gives back."""
        if self.room.take():
            return
        if deadline < self._alarm_at:
            self._set_alarm(deadline)
        await self.room.wait(deadline)

    def submit(
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401
        key: str,
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item``, which touches this key and for which a place in the room was taken.

        What comes back is to be awaited at once, for the result or the error; either comes by
        ``deadline`` (loop time).
        """
        flight = lane.boarding
        if (
            flight is None
            or len(flight.items) >= lane.max_calls
            or (size and flight.size + size > MAX_FLIGHT_BYTES)
            or self._holders.setdefault(key, flight) is not flight
        ):
            return self._submit_first(lane, item, key, deadline, size)
        future = self.loop.create_future()
        flight.items.append(item)
        flight.futures.append(future)
        flight.deadlines.append(deadline)
        flight.keys.append(key)
        if size:
            flight.size += size
        if deadline < self._alarm_at:
            self._set_alarm(deadline)
        return future

    def _submit_first(
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401
        key: str,
        deadline: float,
        size: int,
    ) -> Awaitable[Any]:
        """Send a call that can't just join a flight: it is alone, the first, or its key is held."""
        held = key in self._holders
        if lane.is_idle and not held:
            call = Flight.of(lane, item, (key,), deadline, size)
            self._holders[key] = call
            if not lane.mutates:
                return self._read_alone(call)
            # In a task of its own: a cancelled caller must not cut a change short whose request
            # is on its way, or it could land behind changes that others make after it.
            future = self._expect(call)
            self._launch(call)
            return future
        full = lane.boarding is not None and lane.joinable(size) is None
        if full and lane.flights < lane.max_flights:
            # It need not wait for those who call later in this turn.
            lane.boarding = None
            self._start(self._depart(lane), lane)
        if not held and size <= MAX_FLIGHT_BYTES:
            lane.begin()
            future = self.submit(lane, item, key, deadline, size)
            self._wake(lane)
            return future
        call = Flight.of(lane, item, (key,), deadline, size)
        future = self._expect(call)
        self._order.board(call)
        self._wake(lane)
        return future

    def submit_batch(
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401
        keys: Sequence[str],
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item``, which touches these distinct keys, by itself; else as ``submit`` does."""
        call = Flight.of(lane, item, keys, deadline, size)
        call.alone = True
        at_once = lane.is_idle
        self._order.hold(call)
        if at_once and not call.blockers and not lane.mutates:
            return self._read_alone(call)
        future = self._expect(call)
        if not call.blockers:
            if at_once:
                self._launch(call)
            else:
                lane.queue.append(call)
                self._wake(lane)
        return future

    def _expect(self, call: Flight) -> asyncio.Future[Any]:
        """Return the future of the only call aboard."""
        future: asyncio.Future[Any] = self.loop.create_future()
        call.futures.append(future)
        if call.deadlines[0] < self._alarm_at:
            self._set_alarm(call.deadlines[0])
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

    def _wake(self, lane: Lane) -> None:
        """Send what is queued one turn of the loop later: all who call in this turn are there."""
        if lane.queue and not lane.flush_due and lane.flights < lane.max_flights:
            lane.flush_due = True
            self._start(self._depart(lane), lane, now=False)

    def _start(
        self,
        flying: Coroutine[Any, Any, None],
        lane: Lane,
        call: Flight | None = None,
        *,
        now: bool = True,
    ) -> None:
        """Make a task; ``now`` lets it send its request at once, where Python can (from 3.12)."""
        if sys.version_info >= (3, 12) and now and self.loop.get_task_factory() is None:
            task = asyncio.Task(flying, loop=self.loop, eager_start=True)
            if task.done():
                return
        else:
            task = self.loop.create_task(flying)
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, lane, call))

    def _end(self, lane: Lane, call: Flight | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            return
        # Somebody cancels all tasks of a loop: between two flights, or before the first began.
        lane.flush_due = False
        if call is not None and call.airborne:
            call.airborne = False
            answer_all(call, [late(call)] * len(call.items))
            self._land(call)
        self._wake(lane)

    def _launch(self, call: Flight) -> None:
        """Let a call that waits for nobody fly at once."""
        self._take_off(call)
        self._start(self._fly(call), call.lane, call)

    async def _depart(self, lane: Lane) -> None:
        """Fly with the next of the queue if there is room in the air, as long as callers come."""
        while (flight := self._next_flight(lane)) is not None:
            self._take_off(flight)
            self._wake(lane)
            await self._fly(flight)
            if lane.flush_due or len(flight.items) < MIN_SHARED_FLIGHT:
                return
            # Those who were answered call again in the next turn: they need no new task. Few are
            # better off with the turn that one takes, in which another flight's may join them.
            lane.flush_due = True
            await asyncio.sleep(0)

    def _next_flight(self, lane: Lane) -> Flight | None:
        """Take the next of the queue that somebody waits for, if there is room in the air."""
        lane.flush_due = False
        while lane.queue and lane.flights < lane.max_flights:
            flight = lane.queue.popleft()
            flight.drop_the_gone()
            if flight is lane.boarding:
                lane.boarding = None
                self._share(lane, flight)
            if flight.items:
                return flight
            self._release(flight)
        return None

    def _share(self, lane: Lane, flight: Flight) -> None:
        """Leave to the other flights what is theirs when all are to carry the same."""
        calls = lane.calls + len(flight.items)
        share = max(MIN_SHARED_FLIGHT, -(-calls // lane.max_flights))
        if not lane.queue and len(flight.items) > share and flight.can_split():
            rest = flight.split(share)
            self._order.hand_over(flight, rest)
            lane.queue.append(rest)
            lane.boarding = rest

    def _take_off(self, flight: Flight) -> None:
        flight.airborne = True
        flight.lane.flights += 1
        flight.lane.calls += len(flight.items)

    async def _read_alone(self, call: Flight) -> Any:  # noqa: ANN401
        self._take_off(call)
        try:
            (result,) = await self._perform(call)
        finally:
            self._land(call)
        if isinstance(result, AqeError):
            raise result
        return result

    async def _fly(self, flight: Flight) -> None:
        flight.lane.crowded = len(flight.items) > 1 or bool(flight.lane.queue)
        try:
            answer_all(flight, await self._perform(flight))
        except Exception as error:  # noqa: BLE001 - a backend's bug reaches every caller
            answer_all(flight, [error] * len(flight.items))
        except BaseException:
            # A flight cancelled from outside.
            answer_all(flight, [late(flight)] * len(flight.items))
            raise
        finally:
            self._land(flight)

    def _land(self, flight: Flight) -> None:
        flight.airborne = False
        flight.lane.flights -= 1
        flight.lane.calls -= len(flight.items)
        self._release(flight)
        self._wake(flight.lane)

    def _release(self, flight: Flight) -> None:
        """Give its keys and places back, and let those in line behind it go on."""
        self.room.give(1 if flight.alone else len(flight.keys))
        for call in self._order.release(flight):
            if call.alone:
                call.lane.queue.append(call)
            self._wake(call.lane)
        if self._idle is not None and not self._order:
            self._idle.set()

    async def _perform(self, flight: Flight) -> Sequence[Any]:
        """Return the results, or the error for all, by the last of the deadlines aboard.

        What ``asyncio.timeout_at`` does, but by the alarm that is set anyway, not one for each.
        """
        deadline = max(flight.deadlines)
        if deadline < self._alarm_at:
            self._set_alarm(deadline)
        task = flight.task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancellations = task.cancelling()
        try:
            return await self._try_whole(flight, deadline)
        except asyncio.CancelledError:
            if not flight.overdue or task.cancelling() > cancellations + 1:
                raise
            return [late(flight, sent=True)] * len(flight.items)
        finally:
            flight.task = None
            if flight.overdue:
                task.uncancel()

    async def _try_whole(self, flight: Flight, deadline: float) -> Sequence[Any]:
        perform = flight.lane.perform
        try:
            results = await persist(perform, deadline, flight)
            if type(results) is PartlyRefused:
                return await _retry_refused(flight, results, deadline)
            return results
        except AqeError as error:
            if len(flight.items) == 1 or isinstance(error, BackendUnavailableError):
                return [error] * len(flight.items)
        except TimeoutError:
            return [late(flight, sent=True)] * len(flight.items)
        # The server refused the flight as a whole and applied nothing: find whose fault it is.
        return [await _try_one(call) for call in flight.calls()]

    # Deadlines

    def _set_alarm(self, at: float) -> None:
        """Look for callers whose time is up at that time of the loop (inf: never)."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self.loop.call_at(at, self._expire) if at < math.inf else None

    def _expire(self) -> None:
        """Fail the callers whose time is up, and end a flight when the last one's is."""
        now = self.loop.time()
        following = fail_the_late(self.room.line, now, self._full)
        for flight in self._order.flights():
            # Whoever waits in its own task has no future.
            waiting = zip(flight.futures, flight.deadlines, strict=False)
            following = min(following, fail_the_late(waiting, now, partial(late, flight)))
            if flight.task is not None:
                following = min(following, end_if_overdue(flight, flight.task, now))
        self._set_alarm(following)

    def _full(self) -> BackendTimeoutError:
        return BackendTimeoutError(
            f"{self.room.places} calls were under way and none ended in time; nothing was "
            "sent; make fewer calls at once, or raise timeout"
        )


async def _retry_refused(flight: Flight, results: PartlyRefused, deadline: float) -> Sequence[Any]:
    """Send again what some servers surely did not apply; who has an answer gets it now."""
    lane = flight.lane
    while places := [at for at, result in enumerate(results) if is_worth_retrying(result)]:
        waiting = {*places}
        for at, future in enumerate(flight.futures):
            if at not in waiting and not future.done():
                answer(future, results[at])
        pause = min(RETRY_PAUSE, deadline - asyncio.get_running_loop().time())
        if pause < RETRY_PAUSE:
            break
        await asyncio.sleep(pause)
        again = Flight(lane)
        again.items = [flight.items[at] for at in places]
        try:
            found = await persist(lane.perform, deadline, again)
        except AqeError as error:
            found = [error] * len(places)
        for at, result in zip(places, found, strict=True):
            results[at] = result
    return results


async def _try_one(call: Flight) -> Any:  # noqa: ANN401
    deadline = call.deadlines[0]
    try:
        async with asyncio.timeout_at(deadline):
            (result,) = await persist(call.lane.perform, deadline, call)
    except AqeError as error:
        return error
    except TimeoutError:
        return late(call, sent=True)
    return result
