"""Stores checkpoints in a memory; knows nothing of what is serialized in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import RevisionConflictError, ValueTooLargeError
from lionagi_qe.integrations.langgraph_checkpoints.keys import (
    ThreadKeys,
    is_checkpoint,
    run_mark,
    thread_of_run,
)
from lionagi_qe.integrations.langgraph_checkpoints.records import (
    CheckpointRecord,
    Serialized,
    Version,
    Write,
    packed,
    writes_of,
    writes_value,
)
from lionagi_qe.persistence import Item
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.persistence import Memory

PARTITION = "checkpoints"
# Above this, values go ahead of the checkpoint that makes them visible, each by itself.
MAX_STEP_BYTES = 16 * 1024 * 1024
# What JSON adds to a value of base64.
_AROUND_BYTES = 1_000
# Seconds by which what a checkpoint needs outlives it: not all of it is renewed at one moment, and
# that takes as long as calls may.
_LONGER = 60.0


class CheckpointStorage:
    """Writes checkpoints below a prefix of a memory.

    Args:
        memory: where they lie.
        prefix: what their keys start with.
        ttl: seconds for which a checkpoint is kept after it was last written or renewed; None for
            ever.
    """

    def __init__(self, memory: Memory, prefix: str, ttl: float | None) -> None:
        self.memory = memory
        self.prefix = prefix
        self.ttl = ttl

    def keys(self, thread: str) -> ThreadKeys:
        """Return the keys of a thread."""
        return ThreadKeys.of(self.prefix, thread)

    async def put(
        self, record: CheckpointRecord, values: Mapping[tuple[str, Version], Serialized]
    ) -> None:
        """Store a checkpoint and the values that are new with it.

        One atomic step; where a memory's batches are atomic by shard, or for many bytes, the
        values go first: a checkpoint is never there without them.
        """
        keys, namespace = self.keys(record.thread), record.namespace
        entries: dict[str, Any] = {}
        for (channel, version), value in values.items():
            self._check_size(f"channel {channel!r}", value)
            entries[keys.value(namespace, channel, version)] = packed(value)
        size = sum(len(data) for _, data in entries.values())
        if record.run is not None:
            entries[keys.runs() + run_mark(record.run)] = record.run
            entries[thread_of_run(self.prefix, record.run, keys)] = None
        self._check_size("the checkpoint without its large values", record.checkpoint)
        checkpoint = {keys.checkpoint(namespace, record.checkpoint_id): record.as_value()}
        if self.ttl is not None:
            await self._touch(
                keys.value(namespace, channel, version)
                for channel, version in record.stored.items()
                if (channel, version) not in values
            )
        if self.memory.capabilities.atomic_batches == "all" and size <= MAX_STEP_BYTES:
            await self.store(entries | checkpoint)
            return
        if size <= MAX_STEP_BYTES:
            await self.store(entries)
        else:
            await self.store_each(entries.items())
        await self.store(checkpoint)

    async def put_writes(
        self, thread: str, namespace: str, checkpoint_id: str, writes: Sequence[Write]
    ) -> None:
        """Store what a task wrote.

        One round trip. A regular write that is there already stays as it is, a special one is
        replaced; two round trips more where the task had written before.
        """
        keys = self.keys(thread)
        for write in writes:
            self._check_size(f"a write to {write.channel!r}", write.value)
        task, path = writes[0].task, writes[0].path
        special = {
            keys.write(namespace, checkpoint_id, task, str(-write.index)): writes_value(
                task, path, [write]
            )
            for write in writes
            if write.index < 0
        }
        regular = [write for write in writes if write.index >= 0]
        key = keys.write(namespace, checkpoint_id, task, "writes")
        revision = 0
        while True:
            entries: dict[str, Any] = dict(special)
            if regular:
                value = writes_value(task, path, regular)
                entries[key] = Item(value, if_revision=revision)
            try:
                await self.store(entries)
                break
            except RevisionConflictError:
                revision, regular = await self._merged(key, regular)
        if self.ttl is not None:
            found = await self.memory.entry(keys.checkpoint(namespace, checkpoint_id))
            if found is not None:
                await self.renew(CheckpointRecord.of(found.value))

    async def _merged(self, key: str, writes: list[Write]) -> tuple[int, list[Write]]:
        """Return the writes that are there with those that aren't yet, and for which revision."""
        entry = await self.memory.entry(key)
        if entry is None:
            return 0, writes
        there = writes_of(entry.value)
        known = {write.index for write in there}
        return entry.revision, there + [write for write in writes if write.index not in known]

    async def store(self, entries: Mapping[str, Any]) -> None:
        """Store entries in one step."""
        if len(entries) == 1:
            # Shares a request with whatever else is stored at this moment.
            ((key, value),) = entries.items()
            item = value if isinstance(value, Item) else Item(value)
            await self.memory.store(
                key, item.value, self._ttl_of(key), PARTITION, if_revision=item.if_revision
            )
        elif entries:
            items = {
                key: replace(value, ttl=self._ttl_of(key))
                if isinstance(value, Item)
                else Item(value, ttl=self._ttl_of(key))
                for key, value in entries.items()
            }
            await self.memory.store_many(items, partition=PARTITION)

    async def store_each(self, entries: Iterable[tuple[str, Any]]) -> None:
        """Store entries, each by itself, as many at once as the memory takes."""
        await asyncio.gather(*(self.store({key: value}) for key, value in entries))

    def _check_size(self, what: str, value: Serialized) -> None:
        limit = parts_of(self.memory).bulk.max_value_bytes
        size = len(value[1]) * 4 // 3 + _AROUND_BYTES
        if size > limit:
            raise ValueTooLargeError(
                f"{what}: {len(value[1])} bytes, {size} as they are stored (in base64); this "
                f"memory takes values of up to {limit}; open it with a larger max_value_bytes, or "
                "keep large data elsewhere and in the state where that is"
            )

    async def renew(self, record: CheckpointRecord, writes: Iterable[str] = ()) -> None:
        """Let a checkpoint, and what it needs, live for the whole TTL again."""
        keys, namespace = self.keys(record.thread), record.namespace
        stored = record.stored.items()
        await self._touch(
            [
                *(keys.value(namespace, channel, version) for channel, version in stored),
                *writes,
                keys.checkpoint(namespace, record.checkpoint_id),
            ]
        )

    async def _touch(self, keys: Iterable[str]) -> None:
        await asyncio.gather(*(self.memory.touch(key, self._ttl_of(key)) for key in keys))

    def _ttl_of(self, key: str) -> float | None:
        if self.ttl is None or is_checkpoint(self.prefix, key):
            return self.ttl
        return self.ttl + _LONGER
