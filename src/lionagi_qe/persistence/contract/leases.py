"""The contract of fenced leases that a backend fills, and what passes for a fence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.operations import Fence

# How long what ended is remembered before a sweep takes it.
KEPT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Tenure:
    """Who holds a lease, and for how many more milliseconds by the server's clock."""

    token: int
    holder: str
    remaining_ms: int


class LeaseBackend(Protocol):
    """Leases of one fleet. A token is greater than all that the lease had before, for ever."""

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Give the lease to ``holder`` if nobody holds it; return who holds it now.

        ``holder`` is unique to this attempt, so asking again after a lost answer is safe: who
        holds it already keeps the token and gets ``ttl_ms`` anew.
        """
        ...

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Let the lease end ``ttl_ms`` from now; False if the token isn't current or expired."""
        ...

    async def release(self, fence: Fence) -> bool:
        """End the lease now; False if it had already ended."""
        ...

    async def look(self, name: str) -> Tenure | None:
        """Return who holds the lease; None if nobody does."""
        ...

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Return the leases that are held, with names above ``after``, in order of their names."""
        ...


class Fenced(Protocol):
    """Whatever carries a fence: a held lease."""

    @property
    def fence(self) -> Fence:
        """The lease's name and the token that was given."""
        ...


def fence_of(fence: Fence | Fenced | None) -> Fence | None:
    """Return the fence that the caller of a mutator means; InvalidArgumentError if it is none."""
    if fence is None or isinstance(fence, Fence):
        return fence
    found = getattr(fence, "fence", None)
    if not isinstance(found, Fence):
        msg = f"fence {fence!r}: give a held Lease, or the Fence(name, token) of one"
        raise InvalidArgumentError(msg)
    return found
