"""Calls that are executed together, and the channels that carry them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import compress
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.errors import BackendUnavailableError
from lionagi_qe.persistence.contract.backend import MAX_BATCH_CALLS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator, Sequence

# Of the payloads of calls that are batched, in bytes; a larger one is executed by itself.
MAX_SHARED_BYTES = 4 * 1024 * 1024

_is_done = methodcaller("done")


class Batch:
    """Calls of one key each, executed as one request: of each its item, future and deadline.

    A call is an entry in these lists and no object of its own, since there is one for each call of
    a memory. Without futures, the caller's own task executes the batch.

    Attributes:
        channel: what executes it.
        items: what each call asks for, in the order of the calls.
        futures: the answer of each call.
        deadlines: by when each call wants its answer, in the loop's time.
        keys: the keys that the batch holds, or waits for.
        size: bytes of all payloads.
        blockers: how many of its keys are held by others.
        executing: its request may have left.
        task: who executes it now, and is cancelled when it is ``overdue``.
    """

    __slots__ = (
        "blockers",
        "channel",
        "deadlines",
        "executing",
        "futures",
        "items",
        "keys",
        "overdue",
        "size",
        "task",
    )

    atomic = False

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.items: list[Any] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.deadlines: list[float] = []
        self.keys: list[str] = []
        self.size = 0
        self.blockers = 0
        self.executing = False
        self.overdue = False
        self.task: asyncio.Task[Any] | None = None

    @classmethod
    def of(
        cls,
        channel: Channel,
        item: Any,  # noqa: ANN401 - the backend's
        keys: Sequence[str],
        deadline: float,
        size: int,
    ) -> Self:
        """Return a batch of one call, which has no future yet."""
        batch = cls(channel)
        batch.items.append(item)
        batch.keys.extend(keys)
        batch.deadlines.append(deadline)
        batch.size = size
        return batch

    def execute(self) -> Awaitable[Sequence[Any]]:
        """Send the request; return a result, or the caller's own AqeError, for each item."""
        return self.channel.execute(self.items)

    def absorb(self, call: Batch) -> None:
        """Add the calls of another batch."""
        self.items += call.items
        self.futures += call.futures
        self.deadlines += call.deadlines
        self.keys += call.keys
        self.size += call.size

    def discard_cancelled(self) -> None:
        """Leave out calls that nobody waits for; their keys stay held until it is completed."""
        done = [*map(_is_done, self.futures)]
        if True in done:
            waiting = [not gone for gone in done]
            self.items = [*compress(self.items, waiting)]
            self.futures = [*compress(self.futures, waiting)]
            self.deadlines = [*compress(self.deadlines, waiting)]

    def calls(self) -> Iterator[Batch]:
        """Return each call in a batch of its own, to be executed anew."""
        for item, deadline in zip(self.items, self.deadlines, strict=True):
            call = type(self).of(self.channel, item, (), deadline, 0)
            call.executing = True
            yield call

    def can_split(self) -> bool:
        """Whether its calls may be executed side by side: two of one key may not.

        Nor those that somebody left, whose keys are no longer in the order of the items.
        """
        return len({*self.keys}) == len(self.keys) == len(self.items)

    def split(self, at: int) -> Batch:
        """Take the calls from a position on out, and return them as another batch.

        How many bytes each call has is not kept: both count as large as the whole.
        """
        rest = Batch(self.channel)
        rest.size = self.size
        self.items, rest.items = self.items[:at], self.items[at:]
        self.futures, rest.futures = self.futures[:at], self.futures[at:]
        self.deadlines, rest.deadlines = self.deadlines[:at], self.deadlines[at:]
        self.keys, rest.keys = self.keys[:at], self.keys[at:]
        return rest

    def complete(self, results: Sequence[Any]) -> None:
        """Give each caller that still waits its result, or its error."""
        for future, result in zip(self.futures, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                # An exception for each caller: tracebacks grow on a shared one.
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


class AtomicBatch(Batch):
    """One call that touches several keys, which the backend applies or reads in one step."""

    __slots__ = ()
    atomic = True

    def execute(self) -> Awaitable[Sequence[Any]]:
        """Send the request of its only item."""
        return _as_one(self.channel.execute_atomic(self.items[0]))

    def can_split(self) -> bool:
        """It can't."""
        return False


async def _as_one(answer: Awaitable[Any]) -> Sequence[Any]:
    return [await answer]


async def _not_offered(_: Any) -> Any:  # noqa: ANN401 - as Channel.execute_atomic
    msg = "this channel carries calls of one key only"
    raise NotImplementedError(msg)


@dataclass(eq=False)
class Channel:
    """A kind of calls, with its own queue of batches and limits.

    Attributes:
        execute: takes the items of a batch; returns a result, or the caller's own AqeError, for
            each.
        execute_atomic: takes the item of an AtomicBatch; returns its result.
        mutates: the calls change entries: those of one key are executed in their order.
        max_batches: how many batches are executed at once.
        max_calls: how many calls a batch has at most.
        queue: the batches to be executed, oldest first.
        open: the batch in the queue that further calls join.
        batches: how many are executed now.
        calls: how many calls are executed now.
        crowded: the last batch was not a lone call.
        drain_due: a task that drains the queue is to run in the next turn of the loop.
        completed: set, and forgotten, when the next batch is completed.
    """

    execute: Callable[[list[Any]], Awaitable[Sequence[Any]]]
    mutates: bool
    max_batches: int
    max_calls: int = MAX_BATCH_CALLS
    execute_atomic: Callable[[Any], Awaitable[Any]] = _not_offered
    queue: deque[Batch] = field(default_factory=deque[Batch])
    open: Batch | None = None
    batches: int = 0
    calls: int = 0
    crowded: bool = False
    drain_due: bool = False
    completed: asyncio.Event | None = None

    @property
    def is_idle(self) -> bool:
        """Whether a call would find nobody to wait for."""
        return not (self.batches or self.queue or self.crowded)

    def joinable(self, size: int) -> Batch | None:
        """Return the batch that a call of so many bytes can join."""
        batch = self.open
        if (
            batch is None
            or len(batch.items) >= self.max_calls
            or batch.size + size > MAX_SHARED_BYTES
        ):
            return None
        return batch

    def begin(self) -> Batch:
        """Queue a new batch for calls to join."""
        batch = self.open = Batch(self)
        self.queue.append(batch)
        return batch

    def take_next(self) -> Batch | None:
        """Take the oldest batch of the queue, if one more may be executed at once."""
        self.drain_due = False
        if not self.queue or self.batches >= self.max_batches:
            return None
        batch = self.queue.popleft()
        batch.discard_cancelled()
        return batch
