"""Putting jobs into a queue: one, many, in a chain, as a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination.backoff import check_delay
from lionagi_qe.coordination.batch import (
    Batch,
    check_then,
    check_when,
    members,
    new_members,
    progress_of,
    with_batch,
)
from lionagi_qe.coordination.new_job import (
    NewJob,
    check_after,
    check_duplicates,
    check_priority,
    new_job_id,
    new_job_ids,
    new_jobs,
)
from lionagi_qe.coordination.queue_state import QueueState
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.job_batches import MakeBatch
from lionagi_qe.persistence.contract.jobs import PutJob
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.transaction import check_transaction
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.headers import with_headers
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from lionagi_qe.coordination.batch import BatchProgress
    from lionagi_qe.persistence.contract.job_batches import When
    from lionagi_qe.persistence.contract.jobs import OnDuplicate
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.transaction import Transaction


class PuttingQueue(QueueState):
    """The part of a queue that jobs are put by; see ``WorkQueue``."""

    async def put(  # noqa: PLR0913 - keyword-only but for the payload
        self,
        payload: Any,  # noqa: ANN401 - any JSON value
        *,
        priority: int = 0,
        delay: float | timedelta = 0,
        dedupe: str | None = None,
        on_duplicate: OnDuplicate = "keep",
        dedupe_for: float | timedelta = 0,
        limit_key: str | None = None,
        after: Sequence[str] = (),
        fence: Fence | Fenced | None = None,
        transaction: Transaction | None = None,
        timeout: float | None = None,
    ) -> str:
        """Add a job and return its id. One round trip; calls at the same moment share it.

        Args:
            payload: JSON data, a dataclass or a pydantic model.
            priority: the lower, the sooner.
            delay: seconds (or timedelta) until it may be claimed.
            dedupe: while an unended job has the same text, add none and return that one's id.
            on_duplicate: what becomes of that one. "keep": nothing. "replace": if it waits, it gets
                this payload, priority and delay, all attempts before it; if it is being done, this
                job is added and takes the key over, and that one is not tried again should it
                fail: what was put last is done in any case. "earliest": if it waits, the lower of
                both priorities and the earlier of both times count, the payload is kept.
            dedupe_for: seconds (or timedelta) from now on, by the server's clock, for which the key
                is this job's even if it ends before: an idempotency key. Who puts it meanwhile gets
                its id; duplicates don't prolong that.
            limit_key: whose job it is, a customer's for example: any text of at most 128 bytes.
                Keys whose jobs wait take turns, within a priority; ``limit(per="key")`` limits how
                many jobs of each key run at once, or begin in a time.
            after: ids of jobs of this queue, at most 100, that have to be done before; until then
                it is "waiting". It gets their results by ``job.results()``. If one of them dies or
                is cancelled, so is this one, with an error that names it; ``retry_dead`` of both
                lets it wait again.
            fence: add it only while this lease is held.
            transaction: add it if and when this is applied; the id may then be another one's
                (``transaction.job_ids``), where ``dedupe`` is given.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidValueError, InvalidArgumentError: nothing was sent.
            StaleFenceError: nothing was added.
            JobNotFoundError: one of ``after`` isn't known, or not kept any more; nothing was added.
            BackendUnavailableError: see its ``outcome``.

        """
        held = fence_of(fence)
        transaction = check_transaction(transaction)
        new = NewJob(payload, priority, delay, dedupe, on_duplicate, dedupe_for, limit_key, after)
        if transaction is None:
            if self._traces.silent:
                return await self._calls.write(self._put(new, held), timeout=timeout)
            with self._traces.sending("put") as headers:
                return await self._calls.write(self._put(new, held, headers), timeout=timeout)
        if held is not None:
            msg = "fence: give it to memory.transaction(fence=...), for all that it changes"
            raise InvalidArgumentError(msg)
        with self._traces.creating() as headers:
            job = self._put(new, transaction.fence, headers)
        transaction.add_job(job)
        return job.job_id

    async def put_many(
        self,
        payloads: Iterable[Any],
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Add jobs in one atomic step and return their ids, in order.

        A payload may be a ``NewJob`` with its own priority, delay, dedupe, limit key and ``after``.
        BatchTooLargeError above the memory's ``max_batch``.
        """
        held = fence_of(fence)
        new = new_jobs(payloads)
        with self._traces.sending("put_many", len(new)) as headers:
            jobs = [self._put(job, held, headers) for job in new]
            return await self._calls.put_many(jobs, timeout=timeout)

    async def chain(
        self,
        payloads: Iterable[Any],
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Add jobs each of which comes after the one before, in one atomic step; return their ids.

        As ``put_many``; the ``after`` of a ``NewJob`` counts as well. Each gets the result of the
        one before by ``job.results()``.
        """
        links = new_jobs(payloads)
        ids = new_job_ids(len(links))
        for at, link in enumerate(links[1:], 1):
            links[at] = replace(link, after=[ids[at - 1], *check_after(link)])
        held = fence_of(fence)
        with self._traces.sending("chain", len(links)) as headers:
            jobs = [
                replace(self._put(link, held, headers), job_id=job_id)
                for link, job_id in zip(links, ids, strict=True)
            ]
            return await self._calls.put_many(jobs, timeout=timeout)

    async def batch(
        self,
        payloads: Iterable[Any],
        *,
        then: Any,  # noqa: ANN401 - any JSON value
        when: When = "all-succeeded",
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> Batch:
        """Add jobs and a callback, a job that is done once all of them have ended: all or nothing.

        One round trip, and one step on the server, however many they are. The step that ends the
        last of them makes the callback ready, once.

        Args:
            payloads: as of ``put_many``; each may be a ``NewJob``, without ``dedupe``.
            then: the callback's payload, or a ``NewJob`` with its priority. ``job.batch_id`` is the
                batch's, of the callback and of each job of the batch.
            when: "all-succeeded": if a job of the batch is dead once all have ended, so is the
                callback, which is told by its error; ``retry_dead`` of that job lets it wait again.
                If none is dead and some were cancelled, it is cancelled. "all-done": it is called
                however they ended, which ``queue.get_batch(job.batch_id)`` tells.
            fence: add them only while this lease is held.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            BatchTooLargeError: more jobs than the memory's ``max_batch``, 10,000 unless it was
                opened with another; let them add the others, see ``Batch.add``.

        """
        new, callback = new_members(payloads), check_then(then)
        makes = MakeBatch(check_when(when), len(new), self._result_ttl_ms)
        held = fence_of(fence)
        with self._traces.sending("batch", len(new)) as headers:
            put = self._put(callback, held)
            batch = self.get_batch(put.job_id)
            payload = self._calls.encode(callback.payload)
            stored = with_headers(payload, with_batch(headers, batch.id))
            puts = [replace(put, payload=stored, makes=makes)]
            puts += members(batch.id, self._put, new, held, headers)
            await self._calls.put_many(puts, timeout=timeout)
        return batch

    def get_batch(self, batch_id: str) -> Batch:
        """Return a batch by its id, to look at it, to add jobs or to cancel it; asks nobody."""
        return Batch(
            self.name,
            self._put,
            self._calls,
            self._traces,
            check_name("batch id", batch_id),
            result_ttl_ms=self._result_ttl_ms,
        )

    async def batches(self, limit: int = 100, after: str = "") -> list[BatchProgress]:
        """Return how the queue's batches stand, the newest first, as long as they are kept.

        ``after``: go on behind the batch with this id. One round trip.
        """
        behind = "" if after == "" else check_name("batch id", after)
        found = await self._calls.list_batches(self.name, behind, check_count("limit", limit))
        return [progress_of(record) for record in found]

    def _put(
        self, job: NewJob, fence: Fence | None, headers: Mapping[str, str] | None = None
    ) -> PutJob:
        return PutJob(
            self.name,
            new_job_id(),
            with_headers(self._calls.encode(job.payload), headers or {}),
            check_priority(job.priority),
            check_delay(job.delay),
            None if job.dedupe is None else check_name("dedupe", job.dedupe),
            self._max_attempts,
            fence,
            *check_duplicates(job),
            None if job.limit_key is None else check_name("limit_key", job.limit_key),
            check_after(job),
        )
