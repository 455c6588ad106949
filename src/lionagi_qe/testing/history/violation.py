"""What a history can do wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lionagi_qe.testing.history.operations import Operation


class Kind(StrEnum):
    """The promise that was broken."""

    LOST_WRITE = "acknowledged write lost"
    STALE_READ = "stale read"
    READ_WENT_BACK = "read went back"
    UNWRITTEN_VALUE = "value that nobody wrote"
    READ_TOO_EARLY = "read before it was written"
    REFUSED_APPLIED = "refused, and applied"
    REVISION_WENT_BACK = "revision did not grow"
    BOTH_WON = "two compare-and-sets on one revision won"
    LOST_INCREMENT = "increment lost"
    EXTRA_INCREMENT = "increment applied too often"
    NOT_LINEARIZABLE = "not linearizable"
    EXPIRED_EARLY = "expired too early"
    EXPIRED_LATE = "seen after its expiry"
    BATCH_TORN = "batch applied in part"
    TRANSACTION_TORN = "transaction applied in part"
    TOKEN_DOUBLED = "fencing token given twice"  # noqa: S105 - no password
    TOKEN_WENT_BACK = "fencing token did not grow"  # noqa: S105 - no password
    LEASE_HELD_TWICE = "lease held by two"
    STALE_HOLDER_WROTE = "change of a stale holder accepted"
    HOLDER_REFUSED = "change of the holder refused"
    JOB_DROPPED = "job dropped"
    JOB_FROM_NOWHERE = "job that nobody put"
    JOB_AFTER_ACK = "job handed out after its ack"
    JOB_IN_TWO_HANDS = "job in two hands"
    JOB_ACKED_TWICE = "job acknowledged twice"
    LOST_JOB_ACKED = "ack of a worker that had lost the job"
    WATCH_GAP = "change not told to a watch"
    WATCH_OUT_OF_ORDER = "changes told out of order"
    WATCH_REPEATED = "change told twice"
    WATCH_INVENTED = "change told that was not made"
    MEMBER_MISSING = "live member not shown"
    MEMBER_STAYED = "member shown after its time"
    LATE_ANSWER = "answered too late"
    STRAY_ERROR = "error that is not one of the package's"
    LEFT_OVER = "left over after closing"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, and the operations that show it."""

    kind: Kind
    message: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        return "\n    ".join([f"{self.kind}: {self.message}", *map(str, self.operations)])


@dataclass(frozen=True, slots=True)
class Promises:
    """What is promised where the history was recorded; the defaults are the strictest.

    Attributes:
        max_stale: seconds by which ``retrieve`` and ``retrieve_many`` may be behind the last write
            of another process (a memory with a cache); a process sees its own writes at once.
        atomic_batches: "all": ``store_many`` is one step; "shard": one per shard.
        grace: seconds that an answer may take beyond its call's timeout.
        early: seconds by which an entry or a lease may end before its time.
        late: seconds by which an entry may be seen after its time.
        search_limit: steps after which the search for an order of one key's calls gives up, and
            the key counts as undecided.
    """

    max_stale: float = 0.0
    atomic_batches: str = "all"
    grace: float = 1.0
    early: float = 0.05
    late: float = 1.0
    search_limit: int = 300_000
