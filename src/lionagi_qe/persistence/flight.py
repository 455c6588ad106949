"""What flies: calls, the lanes that they go by, and the order of those that touch one key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.backend import MAX_FLIGHT_CALLS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator, Sequence


class Call:
    """One caller's request: an item for the lane, the keys it touches, and the answer's future.

    ``alone``: it flies by itself. ``admitted``: it holds a place in the batcher's room until it has
    landed. ``future`` is None where the caller's own task performs it.
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

    # Positional: this is made for each call of a memory, and names would cost a fifth of it.
    def __init__(  # noqa: PLR0913, PLR0917 - a plain record
        self,
        lane: Lane,
        item: Any,  # noqa: ANN401 - each lane has its own kind of item
        keys: Sequence[str],
        deadline: float,
        size: int,
        alone: bool,  # noqa: FBT001
        admitted: bool,  # noqa: FBT001
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
    def awaited(self) -> bool:
        """Whether somebody waits for an answer that isn't there yet."""
        return self.future is not None and not self.future.done()


@dataclass(eq=False)
class Lane:
    """A kind of flight, with its own queue, number of flights at once and calls in each.

    ``perform`` takes the calls of one flight and returns a result, or the caller's own AqeError,
    for each.
    """

    perform: Callable[[list[Call]], Awaitable[Sequence[Any]]]
    mutates: bool
    max_flights: int
    max_calls: int = MAX_FLIGHT_CALLS
    queue: deque[Call] = field(default_factory=deque[Call])
    flights: int = 0
    crowded: bool = False
    flush_due: bool = False


class _Line:
    """A key that several calls want: those who hold it, and those parked behind them, in order."""

    __slots__ = ("flying", "holders", "parked", "writers")

    def __init__(self, first: Call) -> None:
        self.holders: set[Call] = set()
        self.writers = 0
        self.flying = first.airborne and first.lane.mutates
        self.parked: deque[Call] = deque()
        self.hold(first)

    def refuses(self, call: Call) -> bool:
        """Whether the call must wait, were nobody in line before it."""
        if not call.lane.mutates:
            return self.writers > 0
        # Queued writes of one key share a flight, but a batch flies by itself: it would hold the
        # key against those that were queued before it.
        if self.flying or len(self.holders) > self.writers:
            return True
        return call.alone and self.writers > 0

    def hold(self, call: Call) -> None:
        self.holders.add(call)
        if call.lane.mutates:
            self.writers += 1
            # A batch holds its keys from now on: nothing may overtake it while it waits for others.
            self.flying = self.flying or call.alone

    def leave(self, call: Call) -> None:
        self.holders.remove(call)
        if call.lane.mutates:
            self.writers -= 1
            self.flying = False


class KeyOrder:
    """Who holds each key.

    A read waits for the writes before it, a write for the reads and flights before it. A key that
    one call alone wants costs two look-ups in a dict.
    """

    def __init__(self) -> None:
        # A line only where there is more than one: most keys never see two calls at once.
        self._keys: dict[str, Call | _Line] = {}
        self._lines = 0

    def __bool__(self) -> bool:
        """Whether any call has not landed."""
        return bool(self._keys)

    def calls(self) -> Iterator[Call]:
        """All calls that have not landed; one that wants several keys comes several times."""
        for holder in self._keys.values():
            if isinstance(holder, _Line):
                yield from holder.holders
                yield from holder.parked
            else:
                yield holder

    def acquire(self, call: Call) -> None:
        """Take each of the call's keys, or get in line behind those who hold it."""
        for key in call.keys:
            holder = self._keys.setdefault(key, call)
            if holder is not call:
                self._line_up(key, holder, call)

    def _line_up(self, key: str, holder: Call | _Line, call: Call) -> None:
        if isinstance(holder, _Line):
            line = holder
        else:
            line = self._keys[key] = _Line(holder)
            self._lines += 1
        if line.parked or line.refuses(call):
            line.parked.append(call)
            call.blockers += 1
        else:
            line.hold(call)

    def is_flying(self, key: str) -> bool:
        """Whether a change of the key is in the air, so that its later ones must wait."""
        if not self._lines:
            return False
        line = self._keys[key]
        return isinstance(line, _Line) and line.flying

    def take_off(self, calls: list[Call]) -> None:
        """Note that these changes are in the air."""
        if not self._lines:
            return
        for call in calls:
            for key in call.keys:
                line = self._keys[key]
                if isinstance(line, _Line):
                    line.flying = True

    def release(self, calls: list[Call]) -> list[Call]:
        """Give the calls' keys back; return those in line behind them that can go on."""
        keys = self._keys
        freed: list[Call] = []
        for call in calls:
            for key in call.keys:
                holder = keys.get(key)
                if holder is call:
                    del keys[key]
                elif isinstance(holder, _Line):
                    holder.leave(call)
                    if not holder.holders:
                        freed += self._move_up(key, holder)
        return freed

    def _move_up(self, key: str, line: _Line) -> list[Call]:
        freed: list[Call] = []
        while line.parked and not line.refuses(line.parked[0]):
            call = line.parked.popleft()
            line.hold(call)
            call.blockers -= 1
            if not call.blockers:
                freed.append(call)
        if not line.holders:
            del self._keys[key]
            self._lines -= 1
        return freed
