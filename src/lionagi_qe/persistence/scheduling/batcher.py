"""Calls made at the same moment are executed together, in batches.

A caller that is alone is sent at once (a read in the caller's own task, a change in one that its
cancellation can't cut short); callers that come while others are under way gather, and share a
request. Calls on one key keep their order: see ``key_order``; writes of one key share a batch in
order.
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
from lionagi_qe.persistence.contract.refused import PartlyRefused
from lionagi_qe.persistence.scheduling.batch import (
    MAX_SHARED_BYTES,
    AtomicBatch,
    Batch,
    Channel,
)
from lionagi_qe.persistence.scheduling.deadlines import (
    DeadlineTimer,
    cancel_if_overdue,
    expire,
    expired,
)
from lionagi_qe.persistence.scheduling.key_order import KeyOrder
from lionagi_qe.persistence.scheduling.partial_failure import execute_one_by_one, resend_refused
from lionagi_qe.persistence.scheduling.retry import retry_after
from lionagi_qe.persistence.server_support.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence

# Below this many waiting calls a second batch costs more than it overlaps.
MIN_SHARED_BATCH = 16
MAX_ADMITTED_CALLS = 4096
# A server that answered in the last so many seconds is there.
_PROGRESS = 1.0


class Batcher:
    """Batches the calls of one memory; lives on one event loop, its ``loop``.

    Not more than ``max_admitted`` calls are held at once: further callers wait for ``limiter``
    before their values are even encoded. A call keeps its place until it is completed, also when
    its caller has gone.
    """

    def __init__(self, *, max_admitted: int = MAX_ADMITTED_CALLS) -> None:
        self.loop = asyncio.get_running_loop()
        self.limiter = Limiter(max_admitted)
        self._order = KeyOrder()
        self._holders = self._order.holders
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer = DeadlineTimer(self.loop, self._expire)
        self._idle: asyncio.Event | None = None
        # When the last batch ended, in the loop's time.
        self._ended_at = -math.inf

    async def admit(self, deadline: float) -> None:
        """Take a place of the limiter, which ``submit`` needs and gives back."""
        if self.limiter.free:
            self.limiter.free -= 1
            return
        if deadline < self._timer.at:
            self._timer.arm(deadline)
        await self.limiter.wait(deadline)

    def submit(
        self,
        channel: Channel,
        item: Any,  # noqa: ANN401
        key: str,
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item``, which touches this key and was admitted.

        What comes back is to be awaited at once, for the result or the error; either comes by
        ``deadline`` (loop time).
        """
        batch = channel.open
        if (
            batch is None
            or len(batch.items) >= channel.max_calls
            or (size and batch.size + size > MAX_SHARED_BYTES)
            or self._holders.setdefault(key, batch) is not batch
        ):
            return self._submit_first(channel, item, key, deadline, size)
        future = self.loop.create_future()
        batch.items.append(item)
        batch.futures.append(future)
        batch.deadlines.append(deadline)
        batch.keys.append(key)
        if size:
            batch.size += size
        if deadline < self._timer.at:
            self._timer.arm(deadline)
        return future

    def _submit_first(
        self,
        channel: Channel,
        item: Any,  # noqa: ANN401
        key: str,
        deadline: float,
        size: int,
    ) -> Awaitable[Any]:
        """Send a call that can't just join a batch: it is alone, the first, or its key is held."""
        held = key in self._holders
        if channel.is_idle and not held:
            call = Batch.of(channel, item, (key,), deadline, size)
            self._holders[key] = call
            if not channel.mutates:
                return self._read_alone(call)
            # In a task of its own: a cancelled caller must not cut a change short whose request
            # is on its way, or it could be applied behind changes that others make after it.
            future = self._expect(call)
            self._execute_now(call)
            return future
        full = channel.open is not None and channel.joinable(size) is None
        if full and channel.batches < channel.max_batches:
            # It need not wait for those who call later in this turn.
            channel.open = None
            self._spawn(self._drain(channel), channel)
        if not held and size <= MAX_SHARED_BYTES:
            channel.begin()
            future = self.submit(channel, item, key, deadline, size)
            self._drain_soon(channel)
            return future
        call = Batch.of(channel, item, (key,), deadline, size)
        future = self._expect(call)
        self._order.enqueue(call)
        self._drain_soon(channel)
        return future

    def submit_atomic(
        self,
        channel: Channel,
        item: Any,  # noqa: ANN401
        keys: Sequence[str],
        deadline: float,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Send ``item``, which touches these distinct keys, by itself; else as ``submit`` does."""
        call = AtomicBatch.of(channel, item, keys, deadline, size)
        at_once = channel.is_idle
        self._order.acquire(call)
        if at_once and not call.blockers and not channel.mutates:
            return self._read_alone(call)
        future = self._expect(call)
        if not call.blockers:
            if at_once:
                self._execute_now(call)
            else:
                channel.queue.append(call)
                self._drain_soon(channel)
        return future

    def _expect(self, call: Batch) -> asyncio.Future[Any]:
        """Return the future of the batch's only call."""
        future: asyncio.Future[Any] = self.loop.create_future()
        call.futures.append(future)
        if call.deadlines[0] < self._timer.at:
            self._timer.arm(call.deadlines[0])
        return future

    async def close(self) -> None:
        """Wait until every call is completed: each one is by its own deadline."""
        while self._order:
            self._idle = asyncio.Event()
            await self._idle.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._timer.arm(math.inf)

    # Queued batches

    def _drain_soon(self, channel: Channel) -> None:
        """Send what is queued one turn of the loop later: all who call in this turn are there."""
        if channel.queue and not channel.drain_due and channel.batches < channel.max_batches:
            channel.drain_due = True
            self._spawn(self._drain(channel), channel, now=False)

    def _spawn(
        self,
        work: Coroutine[Any, Any, None],
        channel: Channel,
        call: Batch | None = None,
        *,
        now: bool = True,
    ) -> None:
        """Make a task; ``now`` lets it send its request at once, where Python can (from 3.12)."""
        if sys.version_info >= (3, 12) and now and self.loop.get_task_factory() is None:
            task = asyncio.Task(work, loop=self.loop, eager_start=True)
            if task.done():
                return
        else:
            task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._task_ended, channel, call))

    def _task_ended(self, channel: Channel, call: Batch | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            return
        # Somebody cancels all tasks of a loop: between two batches, or before the first began.
        channel.drain_due = False
        if call is not None and call.executing:
            call.executing = False
            call.complete([expired(call)] * len(call.items))
            self._finish(call)
        self._drain_soon(channel)

    def _execute_now(self, call: Batch) -> None:
        """Execute a call that waits for nobody at once."""
        self._begin(call)
        self._spawn(self._execute(call), call.channel, call)

    async def _drain(self, channel: Channel) -> None:
        """Execute the next of the queue while the channel's limit allows, as long as calls come."""
        while (batch := self._next_batch(channel)) is not None:
            self._begin(batch)
            self._drain_soon(channel)
            await self._execute(batch)
            if channel.drain_due or len(batch.items) < MIN_SHARED_BATCH:
                return
            # Those who were answered call again in the next turn: they need no new task. Few are
            # better off with the turn that one takes, in which another batch's may join them.
            channel.drain_due = True
            await asyncio.sleep(0)

    def _next_batch(self, channel: Channel) -> Batch | None:
        """Take the next of the queue that somebody waits for, if one more may be executed."""
        while (batch := channel.take_next()) is not None:
            if batch is channel.open:
                channel.open = None
                self._share(channel, batch)
            if batch.items:
                return batch
            self._release(batch)
        return None

    def _share(self, channel: Channel, batch: Batch) -> None:
        """Leave to the other batches what is theirs when all are to carry the same."""
        calls = channel.calls + len(batch.items)
        share = max(MIN_SHARED_BATCH, -(-calls // channel.max_batches))
        if not channel.queue and len(batch.items) > share and batch.can_split():
            rest = batch.split(share)
            self._order.transfer(batch, rest)
            channel.queue.append(rest)
            channel.open = rest

    # Batches that are executed

    def _begin(self, batch: Batch) -> None:
        batch.executing = True
        batch.channel.batches += 1
        batch.channel.calls += len(batch.items)

    async def _read_alone(self, call: Batch) -> Any:  # noqa: ANN401
        self._begin(call)
        try:
            (result,) = await self._results_in_time(call)
        finally:
            self._finish(call)
        if isinstance(result, AqeError):
            raise result
        return result

    async def _execute(self, batch: Batch) -> None:
        batch.channel.crowded = len(batch.items) > 1 or bool(batch.channel.queue)
        try:
            batch.complete(await self._results_in_time(batch))
        except Exception as error:  # noqa: BLE001 - a backend's bug reaches every caller
            batch.complete([error] * len(batch.items))
        except BaseException:
            # A batch cancelled from outside.
            batch.complete([expired(batch)] * len(batch.items))
            raise
        finally:
            self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        channel = batch.channel
        batch.executing = False
        self._ended_at = self.loop.time()
        channel.batches -= 1
        channel.calls -= len(batch.items)
        if channel.completed is not None:
            channel.completed.set()
            channel.completed = None
        self._drain_soon(channel)
        self._release(batch)

    def _release(self, batch: Batch) -> None:
        """Give its keys and places back, and let the calls that wait for it go on."""
        if len(batch.keys) == 1 and self._holders.get(batch.keys[0]) is batch:
            del self._holders[batch.keys[0]]
        else:
            for call in self._order.release(batch):
                if call.atomic:
                    call.channel.queue.append(call)
                self._drain_soon(call.channel)
        if self._idle is not None and not self._order:
            self._idle.set()
        # An atomic batch is one call, whatever its keys.
        places = 1 if batch.atomic else len(batch.keys)
        if self.limiter.waiters:
            self.limiter.release(places)
        else:
            self.limiter.free += places

    async def _results_in_time(self, batch: Batch) -> Sequence[Any]:
        """Return the results, or the error for all, by the last of the batch's deadlines.

        What ``asyncio.timeout_at`` does, but by the timer that is armed anyway, not one for each.
        """
        deadline = max(batch.deadlines)
        if deadline < self._timer.at:
            self._timer.arm(deadline)
        task = batch.task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancellations = task.cancelling()
        try:
            return await _results(batch, deadline)
        except asyncio.CancelledError:
            if not batch.overdue or task.cancelling() > cancellations + 1:
                raise
            return [expired(batch, sent=True)] * len(batch.items)
        finally:
            batch.task = None
            if batch.overdue:
                task.uncancel()

    def _expire(self, now: float) -> float:
        """Fail the callers whose time is up, and end a batch when its last one's is."""
        following = expire(self.limiter.waiters, now, self._too_many)
        for batch in self._order.batches():
            # Whoever waits in its own task has no future.
            waiting = zip(batch.futures, batch.deadlines, strict=False)
            following = min(following, expire(waiting, now, partial(expired, batch)))
            if batch.task is not None:
                following = min(following, cancel_if_overdue(batch, batch.task, now))
        return following

    def _too_many(self) -> BackendTimeoutError:
        if self.loop.time() - self._ended_at < _PROGRESS:
            return BackendTimeoutError(
                f"{len(self.limiter.waiters)} calls waited while {self.limiter.limit} were under "
                "way; the server answers, but not all in that time; nothing was sent for this one; "
                "make fewer calls at once, or raise timeout"
            )
        return BackendTimeoutError(
            f"{self.limiter.limit} calls were under way and none ended in time; nothing was "
            "sent; make fewer calls at once, or raise timeout"
        )


async def _results(batch: Batch, deadline: float) -> Sequence[Any]:
    try:
        try:
            results = await batch.execute()
        except BackendUnavailableError as error:
            results = await retry_after(error, batch.execute, deadline)
        if type(results) is PartlyRefused:
            return await resend_refused(batch, results, deadline)
        return results
    except AqeError as error:
        if len(batch.items) == 1 or isinstance(error, BackendUnavailableError):
            return [error] * len(batch.items)
    except TimeoutError:
        return [expired(batch, sent=True)] * len(batch.items)
    # The server refused the batch as a whole and applied nothing: find whose fault it is.
    return await execute_one_by_one(batch)
