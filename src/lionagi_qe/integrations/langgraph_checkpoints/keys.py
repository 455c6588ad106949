"""Where what belongs to a thread lies in the memory.

Below ``aqe/checkpoints/<thread>/``: checkpoints under ``c/<namespace>/<checkpoint>``, the newest
first; values of channels under ``v/<namespace>/<channel>/<version>``; writes of tasks under
``w/<namespace>/<checkpoint>/<task>/<kind>``; runs that it has under ``r/<run>``. All of a thread
agrees in the first two segments, so that ``?colocate=2`` keeps it in one shard of a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.keys import check_key
from lionagi_qe.persistence.values.segments import segment

MAX_PREFIX_BYTES = 64
MAX_ID_BYTES = 64
# Sorts behind everything that continues an identifier, since the order is turned round.
_LAST = "~"


def newest_first(checkpoint_id: str) -> str:
    """Return a segment for a checkpoint's identifier; the greatest identifier sorts first."""
    raw = checkpoint_id.encode("utf-8", "surrogatepass")
    if not 0 < len(raw) <= MAX_ID_BYTES:
        raise InvalidArgumentError(
            f"checkpoint_id {checkpoint_id[:80]!r}: {len(raw)} bytes of UTF-8; it has from 1 to "
            f"{MAX_ID_BYTES} (LangGraph's own have 36)"
        )
    return bytes(0xFF - byte for byte in raw).hex() + _LAST


def check_prefix(prefix: str) -> str:
    """Return what all keys of a saver start with, if room for the rest is left."""
    if len(check_key(prefix).encode()) > MAX_PREFIX_BYTES:
        raise InvalidArgumentError(
            f"prefix {prefix!r}: more than {MAX_PREFIX_BYTES} bytes of UTF-8; make it shorter"
        )
    return prefix


@dataclass(frozen=True, slots=True)
class ThreadKeys:
    """The keys of one thread.

    Attributes:
        root: what they all start with, a '/' at the end.
    """

    root: str

    @classmethod
    def of(cls, prefix: str, thread: str) -> ThreadKeys:
        """Return the keys of the thread of that name."""
        return cls(f"{prefix}/{segment(thread)}/")

    def checkpoints(self, namespace: str | None = None) -> str:
        """What the keys of all checkpoints start with, or of those of a namespace."""
        return f"{self.root}c/" if namespace is None else f"{self.root}c/{segment(namespace)}/"

    def checkpoint(self, namespace: str, checkpoint_id: str) -> str:
        """The key of a checkpoint."""
        return self.checkpoints(namespace) + newest_first(checkpoint_id)

    def values(self, namespace: str | None = None) -> str:
        """What the keys of all values of channels start with, or of those of a namespace."""
        return f"{self.root}v/" if namespace is None else f"{self.root}v/{segment(namespace)}/"

    def value(self, namespace: str, channel: str, version: str | float) -> str:
        """The key of the value that a channel had at a version."""
        return f"{self.values(namespace)}{segment(channel)}/{segment(str(version))}"

    def writes(self, namespace: str | None = None, checkpoint_id: str | None = None) -> str:
        """What the keys of all writes start with, or those of a namespace or a checkpoint."""
        if namespace is None:
            return f"{self.root}w/"
        below = f"{self.root}w/{segment(namespace)}/"
        return below if checkpoint_id is None else f"{below}{newest_first(checkpoint_id)}/"

    def write(self, namespace: str, checkpoint_id: str, task: str, kind: str) -> str:
        """The key of a task's writes of a kind."""
        return f"{self.writes(namespace, checkpoint_id)}{segment(task)}/{kind}"

    def runs(self) -> str:
        """What the keys of the marks of this thread's runs start with."""
        return f"{self.root}r/"


def is_checkpoint(prefix: str, key: str) -> bool:
    """Whether a key below a saver's prefix is that of a checkpoint."""
    return key.startswith(f"{prefix}/") and key[len(prefix) + 1 :].split("/")[1] == "c"


def run_keys(prefix: str, run: str) -> str:
    """Return what the keys start with that name the threads of a run."""
    return f"{prefix}-runs/{run_mark(run)}/"


def run_mark(run: str) -> str:
    """Return the last segment of the key that marks a thread as one of a run's."""
    return segment(run)


def thread_of_run(prefix: str, run: str, thread: ThreadKeys) -> str:
    """Return the key that tells that a run made checkpoints in a thread."""
    return run_keys(prefix, run) + thread.root.split("/")[-2]
