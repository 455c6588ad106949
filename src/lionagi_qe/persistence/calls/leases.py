"""The calls that coordination.Lease stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.persistence.calls.base import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence.contract.leases import LeaseBackend, Tenure
    from lionagi_qe.persistence.contract.operations import Fence

T = TypeVar("T")


class LeaseCalls(Calls):
    """Acquire, renew and release leases by checked names; one round trip each.

    What is safe to repeat is asked again until ``timeout`` when an answer was lost.
    """

    async def acquire(
        self, name: str, holder: str, ttl_ms: int, *, timeout: float | None = None
    ) -> Tenure:
        """Give a free lease to ``holder`` (unique to this attempt); return who has it now."""
        return await self._ask(lambda leases: leases.acquire(name, holder, ttl_ms), timeout)

    async def renew(self, fence: Fence, ttl_ms: int, *, timeout: float | None = None) -> bool:
        """Let the lease end ``ttl_ms`` from now; False if it was lost."""
        return await self._ask(lambda leases: leases.renew(fence, ttl_ms), timeout)

    async def release(self, fence: Fence, *, timeout: float | None = None) -> bool:
        """End the lease; False if it had already ended. Not repeated: a lost answer is an error."""
        return await self._ask(lambda leases: leases.release(fence), timeout, repeat=False)

    async def look(self, name: str, *, timeout: float | None = None) -> Tenure | None:
        """Return who holds the lease now; None if nobody does."""
        return await self._ask(lambda leases: leases.look(name), timeout)

    async def list_held(
        self, after: str, limit: int, *, timeout: float | None = None
    ) -> list[tuple[str, Tenure]]:
        """Return the held leases with names above ``after``, by name."""
        return await self._ask(lambda leases: leases.list_held(after, limit), timeout)

    async def _ask(
        self,
        action: Callable[[LeaseBackend], Awaitable[T]],
        timeout: float | None,
        *,
        repeat: bool = True,
    ) -> T:
        deadline = self._scheduler.deadline(timeout)
        return await self._scheduler.perform(
            lambda: action(self._scheduler.leases), deadline, repeat=repeat
        )
