"""The calls that batches of jobs stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.persistence.calls.base import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord, BatchRecord
    from lionagi_qe.persistence.contract.jobs import JobBackend

T = TypeVar("T")


class JobBatchCalls(Calls):
    """Look at batches of jobs by checked names; one round trip each."""

    async def find_batch(
        self, queue: str, batch_id: str, *, timeout: float | None = None
    ) -> BatchRecord | None:
        """Return a batch; None for the unknown."""
        return await self._ask(lambda jobs: jobs.find_batch(queue, batch_id), timeout)

    async def list_batches(
        self, queue: str, after: str, limit: int, *, timeout: float | None = None
    ) -> list[BatchRecord]:
        """Return batches with ids below ``after``, the highest first."""
        return await self._ask(lambda jobs: jobs.list_batches(queue, after, limit), timeout)

    async def batch_jobs(  # noqa: PLR0913 - where the page begins, and its size
        self,
        queue: str,
        batch_id: str,
        after: str,
        limit: int,
        *,
        pending: bool = False,
        timeout: float | None = None,
    ) -> list[BatchJobRecord]:
        """Return jobs of a batch with ids above ``after``, by id; those pending alone, if asked."""
        return await self._ask(
            lambda jobs: jobs.batch_jobs(queue, batch_id, after, limit, pending=pending), timeout
        )

    async def _ask(
        self,
        action: Callable[[JobBackend], Awaitable[T]],
        timeout: float | None,
        *,
        repeat: bool = True,
    ) -> T:
        deadline = self._scheduler.deadline(timeout)
        return await self._scheduler.perform(
            lambda: action(self._scheduler.jobs), deadline, repeat=repeat
        )
