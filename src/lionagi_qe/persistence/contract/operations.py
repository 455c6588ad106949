"""The changes that a backend applies, and what each comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lionagi_qe.errors import AqeError


@dataclass(frozen=True, slots=True)
class Learned:
    """What a Learn operation came to."""

    q: float
    visits: int


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
