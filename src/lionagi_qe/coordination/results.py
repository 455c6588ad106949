"""Waiting for the results of jobs: one look at the server for all who wait in this process."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendUnavailableError,
    JobCancelledError,
    JobFailedError,
    JobNotDoneError,
    JobNotFoundError,
)
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from lionagi_qe.persistence.calls.jobs import JobCalls
    from lionagi_qe.persistence.contract.jobs import JobRecord

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_LOOKS_AT = 1_000

_log = logging.getLogger(__name__)


class Results:
    """The results of one queue's jobs, looked for ever more rarely while nothing comes."""

    def __init__(self, calls: JobCalls, queue: str) -> None:
        self._calls = calls
        self._queue = queue
        self._waiting: dict[str, set[asyncio.Future[Any]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause = _FIRST_PAUSE

    async def wait(self, job_id: str, timeout: float | None) -> Any:  # noqa: ANN401
        """Return the job's result; its errors are those of ``WorkQueue.result``."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(waiter)
        self._pause = _FIRST_PAUSE
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name=f"results of {self._queue}")
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError as error:
            if isinstance(error, AqeError):
                raise
            msg = f"job {job_id}: not done within {timeout} s; it may still be"
            raise JobNotDoneError(msg) from error
        finally:
            waiters = self._waiting.get(job_id)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._waiting[job_id]

    async def _look(self) -> None:
        while self._waiting:
            job_ids = list(self._waiting)
            for first in range(0, len(job_ids), _LOOKS_AT):
                await self._look_at(job_ids[first : first + _LOOKS_AT])
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)

    async def _look_at(self, job_ids: list[str]) -> None:
        try:
            records = await self._calls.find(self._queue, job_ids)
        except AqeError as error:
            if isinstance(error, BackendUnavailableError) and not isinstance(
                error, AccessDeniedError
            ):
                _log.warning(
                    "results of queue %r can't be read yet: %s",
                    self._queue,
                    error,
                    extra=log_fields(queue=self._queue, error=error),
                )
                return
            for job_id in job_ids:
                self._tell(job_id, error)
            return
        for job_id, record in zip(job_ids, records, strict=True):
            outcome = _outcome(self._queue, job_id, record)
            if outcome is not None:
                self._tell(job_id, outcome)

    def _tell(self, job_id: str, outcome: Exception | tuple[Any]) -> None:
        self._pause = _FIRST_PAUSE
        for waiter in self._waiting.get(job_id, ()):
            if waiter.done():
                continue
            if isinstance(outcome, tuple):
                waiter.set_result(outcome[0])
            else:
                waiter.set_exception(outcome)


def _outcome(queue: str, job_id: str, record: JobRecord | None) -> Exception | tuple[Any] | None:
    """Return the result in a tuple, the error, or None if there is neither yet."""
    if record is None:
        return JobNotFoundError(
            f"job {job_id}: queue {queue!r} doesn't know it; results are kept for result_ttl"
        )
    if record.state == "cancelled":
        return JobCancelledError(f"job {job_id}: was cancelled")
    value = None if not record.outcome else decode(record.outcome)
    if record.state == "dead":
        return JobFailedError(f"job {job_id} failed {record.attempts} times, at last by: {value}")
    return (value,) if record.state == "done" else None
