"""What a role or user of a server may do in a fleet, as the server itself enforces it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role (PostgreSQL) or user (Redis) may do in one fleet; patterns as of scopes.

    Attributes:
        role: its name on the server.
        fleet: the fleet.
        read: keys that it may read, beside those that it may write.
        write: keys that it may read and write.
        queues: queues that it may use.
        leases: leases that it may use, and give as fences.
    """

    role: str
    fleet: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    leases: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Granted:
    """What granting did.

    Attributes:
        grant: what holds now.
        notes: what was changed beside, and what does not hold: for people.
        password: one that was made for the user, which nobody keeps; None if the caller gave it,
            or the server has it already.
    """

    grant: Grant
    notes: Sequence[str] = ()
    password: str | None = field(default=None, repr=False)


class GrantBackend(Protocol):
    """How a backend has its server bound roles; each call is one transaction, or the same again."""

    async def grant(self, grant: Grant, password: str | None) -> Granted:
        """Let the role do this and nothing else in the fleet, whatever it could do there before."""
        ...

    async def revoke(self, role: str) -> bool:
        """Take what was granted in the fleet; return whether there was anything."""
        ...

    async def grants(self) -> list[Grant]:
        """Return what was granted in the fleet, by role."""
        ...
