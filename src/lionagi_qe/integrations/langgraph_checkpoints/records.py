"""What is stored of a checkpoint, of a channel's value and of a task's writes.

Values are what the saver's serializer made of them, a kind and bytes; here they are only carried.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

from lionagi_qe.persistence.values.segments import quoted, unquoted

Serialized = tuple[str, bytes]
Version = str | int | float


def packed(value: Serialized) -> list[str]:
    """Return a serialized value as JSON."""
    return [value[0], b64encode(value[1]).decode()]


def unpacked(value: list[str]) -> Serialized:
    """Return the serialized value that ``packed`` was given."""
    return value[0], b64decode(value[1])


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint without the values of its channels that are stored by version.

    Attributes:
        thread: whose it is.
        namespace: of the graph ("") or of a subgraph.
        checkpoint_id: sorts after all that were made before it.
        parent: the identifier of the one before it, if any.
        versions: channel -> version.
        inline: channels whose values are within ``checkpoint``.
        checkpoint: the checkpoint.
        metadata: its metadata.
        run: the run that made it, if that is known.
        delta: channels whose values are made of what was written since an ancestor.
        root: the checkpoint of the root graph that a subgraph was called from.
    """

    thread: str
    namespace: str
    checkpoint_id: str
    parent: str | None
    versions: dict[str, Version]
    inline: list[str]
    checkpoint: Serialized
    metadata: Serialized
    run: str | None = None
    delta: list[str] = field(default_factory=list[str])
    root: str | None = None

    @property
    def stored(self) -> dict[str, Version]:
        """The channels whose values, if they have one, are stored by version."""
        inline = set(self.inline)
        return {name: version for name, version in self.versions.items() if name not in inline}

    def as_value(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "thread": quoted(self.thread),
            "namespace": quoted(self.namespace),
            "id": self.checkpoint_id,
            "parent": self.parent,
            "versions": self.versions,
            "inline": self.inline,
            "checkpoint": packed(self.checkpoint),
            "metadata": packed(self.metadata),
            "run": self.run,
            "delta": self.delta,
            "root": self.root,
        }

    @classmethod
    def of(cls, value: dict[str, Any]) -> CheckpointRecord:
        """Return what ``as_value`` was made of."""
        return cls(
            unquoted(value["thread"]),
            unquoted(value["namespace"]),
            value["id"],
            value["parent"],
            value["versions"],
            value["inline"],
            unpacked(value["checkpoint"]),
            unpacked(value["metadata"]),
            value["run"],
            value["delta"],
            value["root"],
        )


@dataclass(frozen=True, slots=True)
class Write:
    """What a task wrote to a channel; ``index`` is its place, below 0 for special channels."""

    task: str
    path: str
    index: int
    channel: str
    value: Serialized


@dataclass(frozen=True, slots=True)
class WholeCheckpoint:
    """A checkpoint with what belongs to it; writes are in the order in which they apply."""

    record: CheckpointRecord
    values: dict[str, Serialized]
    writes: list[Write]


def writes_value(task: str, path: str, writes: list[Write]) -> dict[str, Any]:
    """Return a task's writes as JSON."""
    return {
        "task": task,
        "path": path,
        "writes": [[write.index, write.channel, *packed(write.value)] for write in writes],
    }


def writes_of(value: dict[str, Any]) -> list[Write]:
    """Return the writes that ``writes_value`` was given."""
    return [
        Write(value["task"], value["path"], index, channel, unpacked([kind, data]))
        for index, channel, kind, data in value["writes"]
    ]
