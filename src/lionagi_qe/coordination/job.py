"""A job in a worker's hands."""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

from lionagi_qe.coordination.backoff import check_delay
from lionagi_qe.coordination.batch import HEADER as BATCH_HEADER
from lionagi_qe.coordination.failed_attempts import detail_of
from lionagi_qe.coordination.payloads import P
from lionagi_qe.coordination.schedules import scheduled_for
from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import AqeError, InvalidArgumentError, JobLostError
from lionagi_qe.persistence.contract.jobs import EndJob
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.transaction import check_transaction
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import MAX_TTL_SECONDS, check_seconds
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from lionagi_qe.coordination.backoff import Backoff
    from lionagi_qe.coordination.job_traces import JobTraces
    from lionagi_qe.errors import InvalidValueError
    from lionagi_qe.persistence.calls.jobs import JobCalls
    from lionagi_qe.persistence.contract.jobs import ClaimedJob, Ending
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.transaction import Transaction
    from lionagi_qe.telemetry.recorder import Recorded

_log = logging.getLogger(__name__)


class Job(Generic[P]):
    """One claim of a job: end it with ``ack``, ``fail`` or ``release`` before its lease ends.

    Whoever lost the job, because the lease ended and it went back to the queue, gets JobLostError
    from each of these and changes nothing. A lease that ended counts until somebody else asks
    for jobs, so late work isn't thrown away without need.

    Attributes:
        id: the job's id, as ``put`` returned it.
        queue: the queue's name.
        payload: what was put; as the queue's ``payload_type``, if it has one.
        priority: the lower, the sooner.
        attempt: which attempt this is, from 1.
        max_attempts: after so many attempts it is dead.
        created_at: when it was put, UTC by the server's clock.
        scheduled_for: the time, in UTC, for which a schedule had it put; else None.
        batch_id: the batch that it is of, or whose callback it is, for ``queue.get_batch``; else
            None.
        headers: ``traceparent`` of the span that put it, if OpenTelemetry was told of that.
        ended: this claim was ended, by us.
        lost: the job is no longer ours.
        cancelling: somebody asked to cancel it; known from the next ``extend`` or ``progress`` on.
            However it ends then, unless by ``ack``, it is cancelled.
    """

    def __init__(  # noqa: PLR0913 - made by queues alone
        self,
        calls: JobCalls,
        queue: str,
        claimed: ClaimedJob,
        payload: P,
        *,
        backoff: Backoff,
        result_ttl_ms: int,
        traces: JobTraces,
    ) -> None:
        self._calls = calls
        self._claimed = claimed
        self._claim = claimed.claim
        self._claimed_at = time.monotonic()
        self._backoff = backoff
        self._result_ttl_ms = result_ttl_ms
        self._traces = traces
        self._recorded: Recorded | None = None
        self._watchers: list[Callable[[Job], None]] = []
        self._when_cancelling: list[Callable[[], object]] = []
        self.queue = queue
        self.id = claimed.job_id
        self.payload = payload
        self.priority = claimed.priority
        self.attempt = claimed.attempt
        self.max_attempts = claimed.max_attempts
        self.created_at = datetime.fromtimestamp(claimed.created_ms / 1000, UTC)
        self.scheduled_for = scheduled_for(claimed.job_id)
        headers = dict(claimed.headers or {})
        self.batch_id = headers.pop(BATCH_HEADER, None)
        self.headers: Mapping[str, str] = headers
        self.ended = False
        self.lost = False
        self.cancelling = False

    def __repr__(self) -> str:
        return f"<Job {self.id} of {self.queue!r}, attempt {self.attempt}>"

    async def ack(
        self,
        result: Any = None,  # noqa: ANN401 - any JSON value
        *,
        fence: Fence | Fenced | None = None,
        transaction: Transaction | None = None,
    ) -> None:
        """End the job as done; ``result`` is kept for the queue's ``result_ttl``.

        With ``transaction`` it is done if and when that is applied, together with what else it
        changes: effects that are stored so happen exactly once.

        Raises:
            JobLostError: it is another's by now; nothing was changed.
            StaleFenceError: ``fence`` isn't held any more; nothing was changed.

        """
        transaction = check_transaction(transaction)
        payload = self._calls.encode(result)
        operation = self._operation("ack", payload, self._result_ttl_ms, fence)
        if transaction is None:
            await self._end(operation)
            return
        if fence is not None:
            msg = "fence: give it to memory.transaction(fence=...), for all that it changes"
            raise InvalidArgumentError(msg)
        if transaction.fence is not None:
            operation = self._operation("ack", payload, self._result_ttl_ms, transaction.fence)
        transaction.add_job(operation, self._ended)

    async def fail(
        self,
        error: str | BaseException,
        *,
        retry: bool = True,
        delay: float | None = None,
        fence: Fence | Fenced | None = None,
    ) -> bool:
        """End this attempt as failed; return whether there will be another.

        Its error, its traceback and who this is are kept with the job: ``queue.status(job_id)``
        tells of the newest ten failed attempts.

        Without ``retry``, and after the last attempt, the job is dead, kept with its error until
        it is revived or purged. Else it is ready again after ``delay`` seconds, by the queue's
        backoff if None.
        """
        text = error if isinstance(error, str) else _described(error)
        if self._recorded is not None:
            # What was raised may have been caught on the way here.
            self._recorded.fail("failed" if isinstance(error, str) else type(error).__name__)
        if delay is None:
            delay = min(max(self._backoff(self.attempt), 0), MAX_TTL_SECONDS)
        text = text.encode(errors="replace").decode()
        operation = self._operation(
            "retry" if retry else "bury",
            self._calls.encode(text),
            check_delay(delay) if retry else 0,
            fence,
        )
        detail = detail_of(error, text, time.monotonic() - self._claimed_at)
        operation = replace(operation, detail=self._calls.encode(detail))
        return await self._end(operation) != "dead"

    async def release(self) -> None:
        """Give the job back as if it had not been claimed: for who must stop before it is done."""
        await self._end(self._operation("release", b"", 0, None))

    @renamed(seconds="ttl")
    async def extend(self, ttl: float) -> None:
        """Let the lease end ``ttl`` seconds from now instead."""
        milliseconds = math.ceil(check_seconds("ttl", ttl) * 1000)
        await self._go_on(self._operation("extend", b"", milliseconds, None))

    async def progress(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Let others read how far the job is: ``queue.status(job_id).progress``.

        What was noted last counts, also for the next attempt and after the end. One round trip.
        """
        await self._go_on(self._operation("progress", self._calls.encode(value), 0, None))

    async def results(self) -> dict[str, Any]:
        """Return the results of the jobs that this one comes after, by their ids. One round trip.

        Kept for this job, however long it waited and whatever their ``result_ttl``.
        """
        found = await self._calls.results_before(self.queue, self.id)
        return {before: decode(result) for before, result in found}

    async def reject(self, error: InvalidValueError) -> None:
        """Fail a job whose payload can't be handed out; it is tried again by the queue's rules."""
        _log.warning("%r is not handed out: %s", self, error, extra=self.log_fields(error))
        try:
            await self.fail(error)
        except AqeError as unended:
            _log.warning(
                "%r returns when its lease ends: %s", self, unended, extra=self.log_fields(unended)
            )

    async def _go_on(self, operation: EndJob) -> None:
        if await self._send(operation) == "cancelling" and not self.cancelling:
            self.cancelling = True
            for tell in self._when_cancelling:
                tell()

    def log_fields(self, error: BaseException | None = None) -> dict[str, object]:
        """Return what is logged beside a text about this job, for ``extra=``."""
        return log_fields(queue=self.queue, job=self.id, attempt=self.attempt, error=error)

    def watch(self, watcher: Callable[[Job], None]) -> None:
        """Have ``watcher`` called once the job is ended or lost."""
        self._watchers.append(watcher)

    @contextmanager
    def when_cancelling(self, tell: Callable[[], object]) -> Generator[None]:
        """Have ``tell`` called, within the block, once the job is known to be cancelled."""
        if self.cancelling:
            tell()
        self._when_cancelling.append(tell)
        try:
            yield
        finally:
            self._when_cancelling.remove(tell)

    @contextmanager
    def processing(self) -> Generator[None]:
        """Tell OpenTelemetry that the job is worked at within the block; ``queue.work`` does so.

        For who takes jobs by ``claim`` or ``consume``: what is done, and how the job ends, is then
        a part of the "process" span, which refers to that of the ``put``.
        """
        with self._traces.processing(self._claimed) as recorded:
            self._recorded = recorded
            try:
                yield
            finally:
                self._recorded = None

    async def recall(self) -> None:
        """Give the job back over its worker's head; for that one it is lost."""
        operation = self._operation("release", b"", 0, None)
        self.give_up()
        await self._calls.write(operation)

    def give_up(self) -> None:
        """Count the job as lost."""
        self.lost = True
        self._tell()

    def _operation(
        self, ending: Ending, payload: bytes, milliseconds: int, fence: Fence | Fenced | None
    ) -> EndJob:
        held = fence_of(fence)
        if self.ended or self.lost:
            raise JobLostError(self.id)
        return EndJob(self.queue, self.id, self._claim, ending, payload, milliseconds, held)

    async def _end(self, operation: EndJob) -> str:
        if self._traces.silent:
            state = await self._send(operation)
        else:
            with self._traces.settling(self._claimed, operation.ending):
                state = await self._send(operation)
        self._ended()
        return state

    async def _send(self, operation: EndJob) -> str:
        try:
            return await self._calls.write(operation)
        except JobLostError:
            if not self.ended:
                self.give_up()
            raise

    def _ended(self) -> None:
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher(self)


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as unprintable:  # noqa: BLE001 - __str__ is the handler's code as well
        return f"{type(error).__name__} (its text raises {type(unprintable).__name__})"
