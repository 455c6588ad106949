"""The order of calls on one key."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lionagi_qe.persistence.scheduling.batch import Batch, Channel


class _KeyQueue:
    """A key that several batches want: those who hold it, and the calls that wait, in order.

    What waits is one call, in a batch of its own until its turn.
    """

    __slots__ = ("holders", "waiting")

    def __init__(self, first: Batch) -> None:
        self.holders: set[Batch] = {first}
        self.waiting: deque[Batch] = deque()

    def admits(self, channel: Channel, batch: Batch | None) -> bool:
        """Whether this batch (None: a new one) of the channel may hold the key besides the holders.

        Reads share it. Writes share a batch that is still open, and nothing else.
        """
        if channel.mutates:
            return not self.holders or self.holders == {batch}
        return not any(holder.channel.mutates for holder in self.holders)


class KeyOrder:
    """Which batch holds each key.

    A read waits for the writes before it, a write for the reads and batches before it. A key that
    one batch alone wants costs each of its calls two look-ups in a dict.
    """

    def __init__(self) -> None:
        # A queue only where there is more than one: most keys never see two batches at once.
        self.holders: dict[str, Batch | _KeyQueue] = {}

    def __bool__(self) -> bool:
        """Whether any call is not completed."""
        return bool(self.holders)

    def batches(self) -> set[Batch]:
        """All batches that are not completed, and the calls that wait for them."""
        found: set[Batch] = set()
        for holder in self.holders.values():
            if isinstance(holder, _KeyQueue):
                found |= holder.holders
                found.update(holder.waiting)
            else:
                found.add(holder)
        return found

    def enqueue(self, call: Batch) -> None:
        """Add a call of one key to its channel's open batch, or else let it wait for the key."""
        (key,) = call.keys
        channel, holder = call.channel, self.holders.get(key)
        batch = channel.joinable(call.size)
        queue = None
        if holder is not None and holder is not batch:
            queue = self._queue(key, holder)
            if queue.waiting or not queue.admits(channel, batch):
                queue.waiting.append(call)
                call.blockers += 1
                return
        batch = batch or channel.begin()
        if queue is not None:
            queue.holders.add(batch)
        elif holder is None:
            self.holders[key] = batch
        batch.absorb(call)

    def acquire(self, batch: Batch) -> None:
        """Take each of the keys of an atomic batch, or let it wait behind who holds the key."""
        for key in batch.keys:
            holder = self.holders.setdefault(key, batch)
            if holder is batch:
                continue
            queue = self._queue(key, holder)
            if queue.waiting or not queue.admits(batch.channel, batch):
                queue.waiting.append(batch)
                batch.blockers += 1
            else:
                queue.holders.add(batch)

    def _queue(self, key: str, holder: Batch | _KeyQueue) -> _KeyQueue:
        if isinstance(holder, _KeyQueue):
            return holder
        queue = self.holders[key] = _KeyQueue(holder)
        return queue

    def transfer(self, batch: Batch, rest: Batch) -> None:
        """Give the keys of ``rest``, which was split off the batch, to it."""
        for key in rest.keys:
            holder = self.holders[key]
            if isinstance(holder, _KeyQueue):
                holder.holders.remove(batch)
                holder.holders.add(rest)
            else:
                self.holders[key] = rest

    def release(self, batch: Batch) -> list[Batch]:
        """Give the batch's keys back; return the calls that waited and have all their keys now.

        Those of one key are in their channels' open batches, atomic ones are to be queued.
        """
        holders = self.holders
        freed: list[Batch] = []
        for key in batch.keys:
            holder = holders.pop(key, None)
            if holder is batch or holder is None:
                continue
            holders[key] = holder
            if isinstance(holder, _KeyQueue) and batch in holder.holders:
                holder.holders.remove(batch)
                if not holder.holders:
                    freed += self._promote_waiters(key, holder)
        return freed

    def _promote_waiters(self, key: str, queue: _KeyQueue) -> list[Batch]:
        freed: list[Batch] = []
        while queue.waiting:
            call = queue.waiting[0]
            channel = call.channel
            batch = call if call.atomic else channel.joinable(call.size)
            if not queue.admits(channel, batch):
                break
            queue.waiting.popleft()
            batch = batch or channel.begin()
            queue.holders.add(batch)
            call.blockers -= 1
            if not call.blockers:
                freed.append(call)
                if batch is not call:
                    batch.absorb(call)
        if not queue.holders:
            del self.holders[key]
        return freed
