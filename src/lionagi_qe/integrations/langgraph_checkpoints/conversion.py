"""Between LangGraph's checkpoints and what is stored of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.integrations.langgraph_checkpoints.records import (
    CheckpointRecord,
    Serialized,
    Version,
    WholeCheckpoint,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
    from langgraph.checkpoint.serde.base import SerializerProtocol

# Longer texts, and all that is no scalar, are stored by version: only when they change.
MAX_INLINE_CHARACTERS = 256
_DELTA_COUNTERS = "counters_since_delta_snapshot"


def configurable(config: RunnableConfig | None) -> dict[str, Any]:
    """Return what a config says of threads and checkpoints."""
    return {} if config is None else config.get("configurable") or {}


def place(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Return the thread, the namespace and the checkpoint that a config names."""
    given = configurable(config)
    if given.get("thread_id") is None:
        raise InvalidArgumentError(
            'config: names no thread; give {"configurable": {"thread_id": "..."}}'
        )
    return (
        str(given["thread_id"]),
        given.get("checkpoint_ns") or "",
        given.get("checkpoint_id") or None,
    )


def config_of(thread_id: object, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """Return the config that names a checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": namespace,
            "checkpoint_id": checkpoint_id,
        }
    }


def checkpoint_record(
    serde: SerializerProtocol,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> tuple[CheckpointRecord, dict[tuple[str, Version], Serialized]]:
    """Return what is stored of a checkpoint, and the values that are new with it."""
    thread, namespace, parent = place(config)
    told = get_serializable_checkpoint_metadata(config, metadata)
    contents = cast("dict[str, Any]", checkpoint.copy())
    versions: dict[str, Version] = dict(contents.pop("channel_versions"))
    values: dict[str, Any] = contents["channel_values"]
    inline = {
        channel: value
        for channel, value in values.items()
        if channel in versions and _is_small(value)
    }
    contents["channel_values"] = inline
    run = told.get("run_id")
    record = CheckpointRecord(
        thread,
        namespace,
        checkpoint["id"],
        parent,
        versions,
        sorted(inline),
        serde.dumps_typed(contents),
        serde.dumps_typed(told),
        run=None if run is None else str(run),
        delta=list(told.get(_DELTA_COUNTERS) or {}),
        root=(told.get("parents") or {}).get(""),
    )
    return record, {
        (channel, version): _serialized(serde, channel, values[channel])
        for channel, version in new_versions.items()
        if channel in values and channel not in inline
    }


def write_records(
    serde: SerializerProtocol, writes: Sequence[tuple[str, Any]], task: str, path: str
) -> list[Write]:
    """Return what is stored of a task's writes."""
    return [
        Write(
            task, path, WRITES_IDX_MAP.get(channel, at), channel, _serialized(serde, channel, value)
        )
        for at, (channel, value) in enumerate(writes)
    ]


def checkpoint_tuple(
    serde: SerializerProtocol, found: WholeCheckpoint, thread_id: object = None
) -> CheckpointTuple:
    """Return a checkpoint as LangGraph wants it, its thread by the name that the caller used."""
    record, loads = found.record, serde.loads_typed
    checkpoint = loads(record.checkpoint)
    checkpoint["channel_versions"] = record.versions
    for channel, value in found.values.items():
        checkpoint["channel_values"][channel] = loads(value)
    thread = record.thread if thread_id is None else thread_id
    parent = record.parent
    return CheckpointTuple(
        config_of(thread, record.namespace, record.checkpoint_id),
        checkpoint,
        loads(record.metadata),
        None if parent is None else config_of(thread, record.namespace, parent),
        [(write.task, write.channel, loads(write.value)) for write in found.writes],
    )


def _serialized(serde: SerializerProtocol, channel: str, value: object) -> Serialized:
    try:
        return serde.dumps_typed(value)
    except Exception as error:
        # What the serializer says names the type alone.
        error.add_note(f"in the value of channel {channel!r}")
        raise


def _is_small(value: object) -> bool:
    if type(value) is str:
        return len(value) <= MAX_INLINE_CHARACTERS
    return value is None or type(value) in {bool, int, float}
