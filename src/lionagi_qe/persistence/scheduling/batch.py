"""What flies: flights of calls, the lanes that they go by, and the order of those on one key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import compress
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.persistence.contract.backend import MAX_FLIGHT_CALLS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator, Sequence

MAX_FLIGHT_BYTES = 4 * 1024 * 1024

_is_done = methodcaller("done")


class Flight:
    """Calls that travel together: of each an item, the answer's future and its deadline.

    A call is an entry in lists and no object of its own, since there is one for each call of a
    memory. ``alone``: one call that touches several keys and flies by itself. ``blockers``: how
    many of its keys others hold. Without futures, the caller's own task performs it. ``task`` is
    who performs it now, and is cancelled when it is ``overdue``.
    """

    __slots__ = (
        "airborne",
        "alone",
        "blockers",
        "deadlines",
        "futures",
        "items",
        "keys",
        "lane",
        "overdue",
        "size",
        "task",
    )

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.alone = False
        self.items: list[Any] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.deadlines: list[float] = []
        self.keys: list[str] = []
        self.size = 0
        self.blockers = 0
        self.airborne = False
        self.overdue = False
        self.task: asyncio.Task[Any] | None = None

    @classmethod
    def of(cls, lane: Lane, item: Any, keys: Sequence[str], deadline: float, size: int) -> Self:  # noqa: ANN401
        """Return a flight with one call aboard, which has no future yet."""
        flight = cls(lane)
        flight.items.append(item)
        flight.keys.extend(keys)
        flight.deadlines.append(deadline)
        flight.size = size
        return flight

    def absorb(self, call: Flight) -> None:
        """Take the calls of another flight aboard."""
        self.items += call.items
        self.futures += call.futures
        self.deadlines += call.deadlines
        self.keys += call.keys
        self.size += call.size

    def drop_the_gone(self) -> None:
        """Leave out whom nobody waits for any more; their keys stay held until the landing."""
        done = [*map(_is_done, self.futures)]
        if True in done:
            waiting = [not gone for gone in done]
            self.items = [*compress(self.items, waiting)]
            self.futures = [*compress(self.futures, waiting)]
            self.deadlines = [*compress(self.deadlines, waiting)]

    def calls(self) -> Iterator[Flight]:
        """Return each call in a flight of its own, to be performed anew."""
        for item, deadline in zip(self.items, self.deadlines, strict=True):
            call = Flight.of(self.lane, item, (), deadline, 0)
            call.alone = self.alone
            call.airborne = True
            yield call

    def can_split(self) -> bool:
        """Whether its calls may fly side by side: two of one key may not.

        Nor those that somebody left, whose keys are no longer in the order of the items.
        """
        return not self.alone and len({*self.keys}) == len(self.keys) == len(self.items)

    def split(self, at: int) -> Flight:
        """Take the calls from a position on out, and return them as a flight of their own.

        How many bytes each call has is not kept: both count as large as the whole.
        """
        rest = Flight(self.lane)
        rest.size = self.size
        self.items, rest.items = self.items[:at], self.items[at:]
        self.futures, rest.futures = self.futures[:at], self.futures[at:]
        self.deadlines, rest.deadlines = self.deadlines[:at], self.deadlines[at:]
        self.keys, rest.keys = self.keys[:at], self.keys[at:]
        return rest


@dataclass(eq=False)
class Lane:
    """A kind of flight, with its own queue, number of flights at once and calls in each.

    ``perform`` takes a flight and returns a result, or the caller's own AqeError, for each of its
    items. ``boarding`` is the flight in the queue that further calls join. ``flights`` and
    ``calls`` count what is in the air.
    """

    perform: Callable[[Flight], Awaitable[Sequence[Any]]]
    mutates: bool
    max_flights: int
    max_calls: int = MAX_FLIGHT_CALLS
    queue: deque[Flight] = field(default_factory=deque[Flight])
    boarding: Flight | None = None
    flights: int = 0
    calls: int = 0
    crowded: bool = False
    flush_due: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether a call would find nobody to wait for."""
        return not (self.flights or self.queue or self.crowded)

    def joinable(self, size: int) -> Flight | None:
        """Return the flight that a call of so many bytes can join."""
        flight = self.boarding
        if (
            flight is None
            or len(flight.items) >= self.max_calls
            or flight.size + size > MAX_FLIGHT_BYTES
        ):
            return None
        return flight

    def begin(self) -> Flight:
        """Queue a new flight for calls to join."""
        flight = self.boarding = Flight(self)
        self.queue.append(flight)
        return flight


class _Line:
    """A key that several flights want: those who hold it, and those parked behind them, in order.

    What is parked is one call, in a flight of its own until its turn.
    """

    __slots__ = ("holders", "parked")

    def __init__(self, first: Flight) -> None:
        self.holders: set[Flight] = {first}
        self.parked: deque[Flight] = deque()

    def admits(self, lane: Lane, flight: Flight | None) -> bool:
        """Whether this flight (None: a new one) of the lane may hold the key besides the holders.

        Reads share it. Writes share a flight that is still on the ground, and nothing else.
        """
        if lane.mutates:
            return not self.holders or self.holders == {flight}
        return not any(holder.lane.mutates for holder in self.holders)


class KeyOrder:
    """Who holds each key.

    A read waits for the writes before it, a write for the reads and flights before it. A key that
    one flight alone wants costs each of its calls two look-ups in a dict.
    """

    def __init__(self) -> None:
        # A line only where there is more than one: most keys never see two flights at once.
        self.holders: dict[str, Flight | _Line] = {}

    def __bool__(self) -> bool:
        """Whether any call has not landed."""
        return bool(self.holders)

    def flights(self) -> set[Flight]:
        """All flights that have not landed, and the calls parked behind them."""
        found: set[Flight] = set()
        for holder in self.holders.values():
            if isinstance(holder, _Line):
                found |= holder.holders
                found.update(holder.parked)
            else:
                found.add(holder)
        return found

    def board(self, call: Flight) -> None:
        """Put a call of one key aboard its lane's next flight, or else in line for the key."""
        (key,) = call.keys
        lane, holder = call.lane, self.holders.get(key)
        flight = lane.joinable(call.size)
        line = None
        if holder is not None and holder is not flight:
            line = self._line(key, holder)
            if line.parked or not line.admits(lane, flight):
                line.parked.append(call)
                call.blockers += 1
                return
        flight = flight or lane.begin()
        if line is not None:
            line.holders.add(flight)
        elif holder is None:
            self.holders[key] = flight
        flight.absorb(call)

    def hold(self, flight: Flight) -> None:
        """Take each of the keys of a flight that is alone, or get in line behind who holds it."""
        for key in flight.keys:
            holder = self.holders.setdefault(key, flight)
            if holder is flight:
                continue
            line = self._line(key, holder)
            if line.parked or not line.admits(flight.lane, flight):
                line.parked.append(flight)
                flight.blockers += 1
            else:
                line.holders.add(flight)

    def _line(self, key: str, holder: Flight | _Line) -> _Line:
        if isinstance(holder, _Line):
            return holder
        line = self.holders[key] = _Line(holder)
        return line

    def hand_over(self, flight: Flight, rest: Flight) -> None:
        """Give the keys of ``rest``, which was split off the flight, to it."""
        for key in rest.keys:
            holder = self.holders[key]
            if isinstance(holder, _Line):
                holder.holders.remove(flight)
                holder.holders.add(rest)
            else:
                self.holders[key] = rest

    def release(self, flight: Flight) -> list[Flight]:
        """Give the flight's keys back; return the calls in line behind it that went on.

        Those of one key are aboard their lanes' next flights, the others are to be queued.
        """
        holders = self.holders
        freed: list[Flight] = []
        for key in flight.keys:
            holder = holders.pop(key, None)
            if holder is flight or holder is None:
                continue
            holders[key] = holder
            if isinstance(holder, _Line) and flight in holder.holders:
                holder.holders.remove(flight)
                if not holder.holders:
                    freed += self._move_up(key, holder)
        return freed

    def _move_up(self, key: str, line: _Line) -> list[Flight]:
        freed: list[Flight] = []
        while line.parked:
            call = line.parked[0]
            lane = call.lane
            flight = call if call.alone else lane.joinable(call.size)
            if not line.admits(lane, flight):
                break
            line.parked.popleft()
            flight = flight or lane.begin()
            line.holders.add(flight)
            call.blockers -= 1
            if not call.blockers:
                freed.append(call)
                if flight is not call:
                    flight.absorb(call)
        if not line.holders:
            del self.holders[key]
        return freed
