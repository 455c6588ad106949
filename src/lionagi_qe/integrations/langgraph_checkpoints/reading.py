"""Reads checkpoints, with their values and writes, in a constant number of round trips a page."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.integrations.langgraph_checkpoints.keys import ThreadKeys, newest_first
from lionagi_qe.integrations.langgraph_checkpoints.records import (
    CheckpointRecord,
    WholeCheckpoint,
    Write,
    unpacked,
    writes_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from lionagi_qe.persistence import Memory

# Each checkpoint may bring large values.
PAGE = 20
_WRITES_PAGE = 200


class CheckpointReader:
    """Reads checkpoints below a prefix of a memory."""

    def __init__(self, memory: Memory, prefix: str) -> None:
        if not memory.capabilities.ordered:
            msg = (
                "checkpoints are found by the order of their keys, and a memory whose names are "
                "hidden has none; give FleetSaver a memory, or a fleet, without hide_names"
            )
            raise ConfigurationError(msg)
        self._memory = memory
        self._prefix = prefix

    async def find(
        self, thread: str, namespace: str, checkpoint_id: str | None
    ) -> WholeCheckpoint | None:
        """Return a checkpoint, the newest by default. Two round trips."""
        keys = ThreadKeys.of(self._prefix, thread)
        if checkpoint_id is not None:
            entry = await self._memory.entry(keys.checkpoint(namespace, checkpoint_id))
        else:
            prefix = keys.checkpoints(namespace)
            async with aclosing(self._memory.scan(prefix, 1)) as newest:
                entry = await anext(newest, None)
        if entry is None:
            return None
        (found,) = await self._complete(keys, [CheckpointRecord.of(entry.value)])
        return found

    async def select(  # noqa: PLR0913 - LangGraph's own criteria
        self,
        thread: str | None,
        namespace: str | None,
        *,
        checkpoint_id: str | None = None,
        before: str | None = None,
        wanted: Callable[[CheckpointRecord], bool] | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[list[WholeCheckpoint]]:
        """Yield pages of checkpoints, the newest first; of all threads, one thread after another.

        A page of a thread's namespace costs two round trips. A thread without a namespace costs
        the keys of all its checkpoints first, for they are told by their age.
        """
        left = limit
        roots = self._roots() if thread is None else _only(ThreadKeys.of(self._prefix, thread))
        async for keys in roots:
            pages = (
                self._of_namespace(keys, namespace, before, left if wanted is None else None)
                if namespace is not None and checkpoint_id is None
                else self._of_thread(keys, namespace, checkpoint_id, before)
            )
            async for page in pages:
                chosen = [record for record in page if wanted is None or wanted(record)][:left]
                if left is not None:
                    left -= len(chosen)
                if chosen:
                    yield await self._complete(keys, chosen)
                if left == 0:
                    return

    async def _roots(self) -> AsyncGenerator[ThreadKeys]:
        prefix, after = f"{self._prefix}/", None
        while children := await self._memory.list_children(prefix, limit=PAGE, after=after):
            for child in children:
                yield ThreadKeys(child)
            after = children[-1]

    async def _of_namespace(
        self, keys: ThreadKeys, namespace: str, before: str | None, limit: int | None
    ) -> AsyncGenerator[list[CheckpointRecord]]:
        prefix = keys.checkpoints(namespace)
        after = None if before is None else prefix + newest_first(before)
        size = PAGE if limit is None else min(PAGE, limit)
        page: list[CheckpointRecord] = []
        async with aclosing(self._memory.scan(prefix, size, after=after)) as entries:
            async for entry in entries:
                page.append(CheckpointRecord.of(entry.value))
                if len(page) == size:
                    yield page
                    page = []
        if page:
            yield page

    async def _of_thread(
        self,
        keys: ThreadKeys,
        namespace: str | None,
        checkpoint_id: str | None,
        before: str | None,
    ) -> AsyncGenerator[list[CheckpointRecord]]:
        """Yield those of all namespaces, or the one that is named, by their age."""
        found = await self._memory.list_keys(keys.checkpoints(namespace))
        ages = {key: key.rsplit("/", 1)[1] for key in found}
        first = "" if before is None else newest_first(before)
        only = None if checkpoint_id is None else newest_first(checkpoint_id)
        found = sorted(
            (key for key in found if ages[key] > first and only in {None, ages[key]}),
            key=ages.__getitem__,
        )
        for part in parts(found, PAGE):
            entries = await self._memory.entries_many(part)
            yield [CheckpointRecord.of(entry.value) for entry in entries.values()]

    # What belongs to checkpoints

    async def _complete(
        self, keys: ThreadKeys, records: Sequence[CheckpointRecord]
    ) -> list[WholeCheckpoint]:
        """Return checkpoints with their values and writes. One round trip, all at once."""
        places = {
            keys.value(record.namespace, channel, version): None
            for record in records
            for channel, version in record.stored.items()
        }
        neighbours = [list(group) for _, group in groupby(records, lambda record: record.namespace)]
        values, written = await asyncio.gather(
            self._values(list(places)),
            asyncio.gather(*(self._writes(keys, group) for group in neighbours)),
        )
        writes: dict[tuple[str, str], list[Write]] = {}
        for part in written:
            writes |= part
        return [
            WholeCheckpoint(
                record,
                {
                    channel: unpacked(values[key])
                    for channel, version in record.stored.items()
                    if (key := keys.value(record.namespace, channel, version)) in values
                },
                writes.get((record.namespace, record.checkpoint_id), []),
            )
            for record in records
        ]

    async def _values(self, keys: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in parts(keys, self._memory.max_batch):
            found |= await self._memory.retrieve_many(part)
        return found

    async def _writes(
        self, keys: ThreadKeys, records: Sequence[CheckpointRecord]
    ) -> dict[tuple[str, str], list[Write]]:
        """Return the writes of checkpoints of one namespace, which lie side by side."""
        namespace = records[0].namespace
        places = {
            keys.writes(namespace, record.checkpoint_id): (namespace, record.checkpoint_id)
            for record in records
        }
        first, last = min(places), max(places)
        prefix = first if first == last else keys.writes(namespace)
        found: dict[tuple[str, str], list[Write]] = {}
        async with aclosing(self._memory.scan(prefix, _WRITES_PAGE, after=first)) as entries:
            async for entry in entries:
                place = entry.key.rsplit("/", 2)[0] + "/"
                if place > last:
                    break
                if place in places:
                    found.setdefault(places[place], []).extend(writes_of(entry.value))
        for writes in found.values():
            # The order in which LangGraph applies them.
            writes.sort(key=lambda write: (write.path, write.task, write.index))
        return found


def parts(keys: list[str], size: int) -> Iterator[list[str]]:
    """Return so many keys after so many."""
    return (keys[start : start + size] for start in range(0, len(keys), size))


async def _only(keys: ThreadKeys) -> AsyncGenerator[ThreadKeys]:
    yield keys
