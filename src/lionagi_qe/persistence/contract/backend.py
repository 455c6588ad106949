"""The bytes-level contract that a backend fills; Memory does everything else.

A backend gets checked keys and encoded values. It makes each operation atomic, keeps its indexes
with the values, and lets the server's clock decide about expiry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.contract.learned import Learned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.values.keys import KeyRange


MAX_FLIGHT_CALLS = 512


@dataclass(frozen=True, slots=True)
class Fence:
    """A lease and the token that its holder was given; see coordination.Lease.

    A fenced operation is applied only if the token is the lease's current one and hasn't expired
    by the server's clock, checked in the same atomic step; else it comes to StaleFenceError.
    """

    name: str
    token: int


class Put(NamedTuple):
    """Store ``payload`` under ``key``; the result is the new revision.

    ``keep`` leaves partition and expiry of an existing entry as they are. ``if_revision`` makes
    it a compare-and-set: 0 wants no live entry.
    """

    key: str
    payload: bytes
    partition: str = "default"
    ttl_ms: int | None = None
    if_revision: int | None = None
    keep: bool = False
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove ``key``; the result tells whether a live entry was there."""

    key: str
    if_revision: int | None = None
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Add:
    """Add ``amount`` to the number under ``key``, a missing one being 0; the result is the sum."""

    key: str
    amount: int | float
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Touch:
    """Give a live entry a new expiry (None: never); the result tells whether one was there."""

    key: str
    ttl_ms: int | None
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class Learn:
    """Move the learned value under ``key`` towards each of ``targets``, in order; see ``learned``.

    A missing one is ``start``, not visited; it goes to ``partition``. The result is the new value
    as Learned. Only for backends whose capabilities say that they learn.
    """

    key: str
    targets: tuple[float, ...]
    start: float
    initial: float
    power: float
    floor: float
    partition: str
    fence: Fence | None = None


Operation = Put | Delete | Add | Touch | Learn
# What an operation came to: its result, or the error that belongs to its caller alone.
Result = int | float | bool | Learned | AqeError


class Record(NamedTuple):
    """A live entry as a backend holds it; times in ms since 1970 by the server's clock."""

    key: str
    payload: bytes | str
    revision: int
    partition: str
    created_ms: int
    updated_ms: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a range in key order; ``after`` continues it, None when the range is done."""

    records: list[Record]
    after: str | None


@dataclass(frozen=True, slots=True)
class PayloadPage:
    """Like Page, keys and values alone."""

    payloads: list[tuple[str, bytes | str]]
    after: str | None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Like Page, keys alone."""

    keys: list[str]
    after: str | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """How many expired entries one step removed, and whether more is due."""

    expired: int
    more: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of one fleet. ``exact`` is False where a figure is an estimate."""

    total_keys: int
    total_expired: int
    partitions: dict[str, int]
    size_bytes: int
    exact: bool
    server: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend promises beyond the contract, or where a server makes it differ.

    Attributes:
        name: "sqlite", "postgresql" or "redis".
        atomic_batches: "all" if a batch is one atomic step, "shard" if it is one per shard.
        max_flights: how many batches may be under way at once.
        max_flight_calls: how many calls of single keys one batch carries at most.
        durability: which acknowledged writes a crash may take, in words.
        learns: Learn operations are one atomic step on the server.
        max_stale: seconds by which a value may be older than the last write of another handle.
    """

    name: str
    atomic_batches: str = "all"
    max_flights: int = 2
    max_flight_calls: int = MAX_FLIGHT_CALLS
    durability: str = ""
    learns: bool = False
    max_stale: float = 0.0


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
