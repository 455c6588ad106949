"""Removes threads, old checkpoints and runs, and copies threads."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.integrations.langgraph_checkpoints.keys import (
    ThreadKeys,
    newest_first,
    run_keys,
    run_mark,
    thread_of_run,
)
from lionagi_qe.integrations.langgraph_checkpoints.reading import PAGE, parts
from lionagi_qe.integrations.langgraph_checkpoints.records import CheckpointRecord
from lionagi_qe.persistence.values.segments import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lionagi_qe.integrations.langgraph_checkpoints.storage import CheckpointStorage
    from lionagi_qe.persistence import Memory

_NOTHING = ("", b"")
# LangGraph calls a subgraph's namespace node:task; one that outlives its call has no task.
_TASK_MARK = ":"


async def delete_thread(storage: CheckpointStorage, thread: str) -> None:
    """Remove all of a thread, its checkpoints first."""
    memory, keys = storage.memory, storage.keys(thread)
    marks = await memory.list_keys(keys.runs())
    if marks:
        runs = await memory.retrieve_many(marks, as_type=str)
        await _delete(memory, [thread_of_run(storage.prefix, run, keys) for run in runs.values()])
    await memory.delete_prefix(keys.root)


async def copy_thread(storage: CheckpointStorage, source: str, target: str) -> None:
    """Copy all of a thread; its checkpoints last, so that none is there without its values."""
    if source == target:
        return
    old, new = storage.keys(source), storage.keys(target)
    for prefix in (old.values(), old.writes(), old.runs(), old.checkpoints()):
        copies: list[tuple[str, Any]] = []
        async with aclosing(storage.memory.scan(prefix, PAGE)) as entries:
            async for entry in entries:
                value = entry.value
                if prefix == old.checkpoints():
                    value["thread"] = quoted(target)
                if prefix == old.runs():
                    copies.append((thread_of_run(storage.prefix, value, new), None))
                copies.append((new.root + entry.key.removeprefix(old.root), value))
                if len(copies) >= PAGE:
                    await storage.store_each(copies)
                    copies = []
        await storage.store_each(copies)


async def delete_runs(storage: CheckpointStorage, runs: Collection[str]) -> None:
    """Remove the checkpoints that runs made. Costs the threads in which they made some."""
    memory = storage.memory
    for run in runs:
        named = await memory.list_keys(run_keys(storage.prefix, run))
        for name in named:
            keys = ThreadKeys(f"{storage.prefix}/{name.rsplit('/', 1)[1]}/")
            for records in (await _all(memory, keys)).values():
                await _remove(memory, keys, records, [at for at in records if at.run == run])
            await memory.delete(keys.runs() + run_mark(run))
        await _delete(memory, named)


async def keep_latest(storage: CheckpointStorage, thread: str) -> None:
    """Remove all checkpoints of a thread but the newest of each namespace, and what it needs.

    Calls of subgraphs go with the checkpoint of the root graph that they were made from. What is
    kept names no parent that is gone.
    """
    memory, keys = storage.memory, storage.keys(thread)
    all_records = await _all(memory, keys)
    kept = {
        namespace: await _needed(memory, keys, records)
        for namespace, records in all_records.items()
    }
    roots = {record.checkpoint_id for record in all_records.get("", ())}
    kept_roots = {record.checkpoint_id for record in kept.get("", ())}
    for namespace, records in all_records.items():
        if _TASK_MARK in namespace and records[0].root in roots - kept_roots:
            for prefix in (keys.checkpoints, keys.writes, keys.values):
                await memory.delete_prefix(prefix(namespace))
            continue
        ids = {record.checkpoint_id for record in kept[namespace]}
        await _remove(memory, keys, records, [at for at in records if at.checkpoint_id not in ids])
        for record in kept[namespace]:
            if record.parent is not None and record.parent not in ids:
                await memory.update(keys.checkpoint(namespace, record.checkpoint_id), _orphaned)


def _orphaned(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "parent": None}


async def _all(memory: Memory, keys: ThreadKeys) -> dict[str, list[CheckpointRecord]]:
    """Return a thread's checkpoints by namespace, the newest first, without their contents."""
    found: dict[str, list[CheckpointRecord]] = {}
    async with aclosing(memory.scan(keys.checkpoints(), PAGE)) as entries:
        async for entry in entries:
            record = CheckpointRecord.of(entry.value)
            found.setdefault(record.namespace, []).append(
                replace(record, checkpoint=_NOTHING, metadata=_NOTHING)
            )
    return found


async def _needed(
    memory: Memory, keys: ThreadKeys, records: list[CheckpointRecord]
) -> list[CheckpointRecord]:
    """Return the newest checkpoint, and the ancestors that its delta channels are made of."""
    by_id = {record.checkpoint_id: record for record in records}
    needed = [records[0]]
    missing = set(records[0].delta)
    while missing and (parent := by_id.get(needed[-1].parent or "")) is not None:
        needed.append(parent)
        places = {
            keys.value(parent.namespace, channel, version): channel
            for channel, version in parent.stored.items()
            if channel in missing
        }
        held = await memory.retrieve_many(places)
        missing -= {places[key] for key in held} | set(parent.inline)
    return needed


async def _remove(
    memory: Memory,
    keys: ThreadKeys,
    records: Iterable[CheckpointRecord],
    gone: list[CheckpointRecord],
) -> None:
    """Remove checkpoints of a namespace, their writes, and values that no other one has."""
    if not gone:
        return
    namespace = gone[0].namespace
    await _delete(memory, [keys.checkpoint(namespace, at.checkpoint_id) for at in gone])
    ids = {newest_first(record.checkpoint_id) for record in gone}
    writes = await memory.list_keys(keys.writes(namespace))
    await _delete(memory, [key for key in writes if key.rsplit("/", 3)[1] in ids])
    left = {id(record) for record in gone}
    used = _value_keys(keys, [record for record in records if id(record) not in left])
    await _delete(memory, sorted(_value_keys(keys, gone) - used))


def _value_keys(keys: ThreadKeys, records: Iterable[CheckpointRecord]) -> set[str]:
    return {
        keys.value(record.namespace, channel, version)
        for record in records
        for channel, version in record.stored.items()
    }


async def _delete(memory: Memory, keys: list[str]) -> None:
    for part in parts(keys, memory.max_batch):
        await memory.delete_many(part)
