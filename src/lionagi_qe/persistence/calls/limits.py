"""The calls that limits of queues stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.persistence.calls.base import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.limits import JobLimit, LimitBackend

T = TypeVar("T")


class LimitCalls(Calls):
    """Set and read the limits of queues by checked names; one round trip each."""

    async def put_limit(self, queue: str, limit: JobLimit, *, timeout: float | None = None) -> None:
        """Set a limit, or take it away. Safe to repeat."""
        await self._ask_limits(lambda limits: limits.put(queue, limit), timeout)

    async def read_limits(self, queue: str, *, timeout: float | None = None) -> Sequence[JobLimit]:
        """Return the limits of a queue, the queue's own first."""
        return await self._ask_limits(lambda limits: limits.read(queue), timeout)

    async def _ask_limits(
        self, action: Callable[[LimitBackend], Awaitable[T]], timeout: float | None
    ) -> T:
        deadline = self._scheduler.deadline(timeout)
        return await self._scheduler.perform(
            lambda: action(self._scheduler.limits), deadline, repeat=True
        )
