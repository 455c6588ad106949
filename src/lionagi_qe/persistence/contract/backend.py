"""The bytes-level contract that a backend fills; Memory does everything else.

A backend gets checked keys and encoded values. It makes each operation atomic, keeps its indexes
with the values, and lets the server's clock decide about expiry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.contract.records import (
        KeyPage,
        Page,
        PayloadPage,
        Record,
        Stats,
        Sweep,
    )
    from lionagi_qe.persistence.values.keys import KeyRange


MAX_BATCH_CALLS = 512


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend promises beyond the contract, or where a server makes it differ.

    Attributes:
        name: "sqlite", "postgresql" or "redis".
        atomic_batches: "all" if a batch is one atomic step, "shard" if it is one per shard.
        max_concurrent_batches: how many batches may be executed at once.
        max_batch_calls: how many calls of single keys one batch carries at most.
        durability: which acknowledged writes a crash may take, in words.
        learns: Learn operations are one atomic step on the server.
        max_stale: seconds by which a value may be older than the last write of another handle.
        encrypted: values are sealed by keys before they leave the process.
        ordered: pages come in the order of their keys. If not, in another that stays the same, as
            names are hidden.
    """

    name: str
    atomic_batches: str = "all"
    max_concurrent_batches: int = 2
    max_batch_calls: int = MAX_BATCH_CALLS
    durability: str = ""
    learns: bool = False
    max_stale: float = 0.0
    encrypted: bool = False
    ordered: bool = True


class Backend(Protocol):
    """What an implementer writes. All methods but ``open`` are called only while open.

    Errors: BackendUnavailableError when nothing was changed, OutcomeUnknownError when a change
    was sent and no answer came. Cancelling a call must leave the backend usable.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this backend promises; known before it is opened."""
        ...

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Connect, bring the schema up, enter the fleet.

        Without ``migrate`` nothing is made or changed: SchemaMissingError if something lacks.
        """
        ...

    async def close(self) -> None:
        """Release everything; may be called twice."""
        ...

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Apply the operations in order; one result each.

        Each is atomic by itself. With ``atomic``, the first that fails raises its error and
        nothing is applied. One round trip.
        """
        ...

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Return the live values, None for what is missing or expired. One round trip."""
        ...

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Return the live entries, None for what is missing or expired. One round trip."""
        ...

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Return the first live entries of a range; costs what it passes, not what is stored."""
        ...

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Like ``page``, without revisions, partitions and times."""
        ...

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Like ``page``, without the values."""
        ...

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Delete what the partition holds now, ``batch`` at a time; spare what comes meanwhile."""
        ...

    async def stats(self) -> Stats:
        """Count; exact while that is cheap, else estimated."""
        ...

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whether this caller is the one of the fleet to sweep in this interval."""
        ...

    async def sweep(self, limit: int) -> Sweep:
        """Remove up to ``limit`` expired entries, or what they left behind, for good."""
        ...

    async def describe(self) -> dict[str, Any]:
        """Return what a person should know: the server's version, schema, durability."""
        ...
