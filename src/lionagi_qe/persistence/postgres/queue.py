"""Work queues in PostgreSQL: a claim is one statement that skips what others hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from lionagi_qe.errors import AccessDeniedError
from lionagi_qe.persistence.contract.job_batches import (
    ABOVE_ALL_IDS,
    BATCH_JOB_STATES,
    BatchJobRecord,
    BatchRecord,
    when_of,
)
from lionagi_qe.persistence.contract.job_pages import (
    end_in_line,
    numbers_of,
    place_in_line,
    position_of,
)
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.contract.jobs import (
    LEASE_ENDED,
    CancelJob,
    Claim,
    ClaimedJob,
    JobOperation,
    JobRecord,
    JobRecordPage,
    JobResult,
    ListedRecord,
    PutJob,
    QueueCounts,
    TransactionOperations,
    TransactionResults,
    job_result,
    options_of,
)
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.postgres import sealed_texts
from lionagi_qe.persistence.postgres.columns import NULL, column, columns
from lionagi_qe.persistence.postgres.job_details import details_of
from lionagi_qe.persistence.postgres.listen import Listener
from lionagi_qe.persistence.postgres.operations import (
    REFUSED,
    entry_columns,
    fence_columns,
    locking_order,
    refused,
    results_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.sealed_texts import TextExchange
    from lionagi_qe.persistence.postgres.session import PostgresSession

EXACT_COUNT_LIMIT = 100_000
# The SQLSTATE of an atomic call that applied nothing because of a job, "position:status".
_JOB_REFUSED = "AQE02"


class PostgresJobs:
    """The queues of the backend's fleet."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self.notifier = Notifier()
        self._listener = Listener(self.notifier)

    async def listen(self, _queue: str) -> bool:
        """Listen on a connection of its own; where that can't be, the caller polls."""
        dsn = self._session.listen_dsn
        if dsn is None:
            return False
        return await self._listener.listen(dsn, f"aqe_jobs_{self._session.fleet}")

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    # Changing

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Call the server's function once."""
        order = _locking_order(operations)
        columns = _columns([operations[at] for at in order])
        try:
            rows = await self._fetch("apply_jobs", *columns, mutates=True)
        except AccessDeniedError:
            raise self._session.refused(_queues(operations)) from None
        return _results(operations, order, rows)

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Call the functions for entries and for jobs in one statement."""
        order, job_order = locking_order(step.operations), _locking_order(step.jobs)
        entries = [step.operations[at] for at in order]
        jobs = [step.jobs[at] for at in job_order]
        columns = entry_columns(entries) + fence_columns(entries) + _columns(jobs)
        async with self._session.connection(mutates=True) as connection:
            try:
                rows = await connection.fetch(
                    self._session.sql["transact"], self._session.fleet, *columns
                )
            except asyncpg.PostgresError as error:
                state = getattr(error, "sqlstate", None)
                if state == REFUSED:
                    raise refused(entries, error) from None
                if state == _JOB_REFUSED:
                    raise _refused(jobs, error) from None
                if isinstance(error, asyncpg.InsufficientPrivilegeError):
                    keys = ", ".join(repr(operation.key) for operation in step.operations)
                    what = ", ".join(filter(None, (keys, _queues(step.jobs))))
                    raise self._session.refused(f"a transaction on {what}") from None
                raise
        results = results_of(step.operations, order, rows[: len(entries)])
        ended = _results(step.jobs, job_order, rows[len(entries) :])
        return TransactionResults(results, [str(result) for result in ended])

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Call the server's function."""
        rows = await self._fetch("claim_jobs", queue, count, lease_ms, LEASE_ENDED, mutates=True)
        jobs = [ClaimedJob(*row[:7]) for row in rows if row[0] is not None]
        return Claim(jobs, rows[-1][7] if len(jobs) < count else 0)

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead ones ready, in the order of their ids."""
        ids = column(sorted(job_ids))
        ((revived,),) = await self._fetch("revive_jobs", queue, ids, mutates=True)
        return int(revived)

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Delete dead ones."""
        return len(await self._fetch("purge_jobs", queue, column(sorted(job_ids)), mutates=True))

    async def exchange(self, queue: str, exchanges: Sequence[TextExchange]) -> int:
        """Exchange sealed texts, one statement a kind of them."""
        return await sealed_texts.exchange(self._session, queue, exchanges)

    async def forget(self, limit: int) -> bool:
        """Delete ended jobs and keys that were kept long enough; return whether more is due."""
        ((is_more,),) = await self._fetch("forget_jobs", limit, mutates=True)
        return bool(is_more)

    # Looking

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Look the ids up."""
        rows = await self._fetch("find_jobs", queue, column(job_ids))
        found = {row[0]: _record(row) for row in rows}
        return [found.get(job_id) for job_id in job_ids]

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Look it up with its links."""
        return details_of(await self._fetch("job_details", queue, job_id))

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Read a page of the index of dead ones."""
        return [_record(row) for row in await self._fetch("dead_jobs", queue, after, limit)]

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Read a page of the state's index."""
        first, second = None, None
        line: list[str | None] = []
        position = after
        if state == "ready":
            key, position = place_in_line(after)
            line = [key]
        if position:
            first, second = (
                position_of(position) if state in {"dead", "waiting"} else numbers_of(position)
            )
        rows = await self._fetch(f"{state}_page", queue, first, second, limit, *line)
        listed = [ListedRecord(_record(row[:10]), row[10]) for row in rows]
        if len(rows) < limit:
            return JobRecordPage(listed, None)
        last = listed[-1].record
        key = last.limit_key if state == "ready" else None
        return JobRecordPage(listed, end_in_line(key, f"{rows[-1][11]}:{rows[-1][12]}"))

    async def count(self, queue: str) -> QueueCounts:
        """Count by state, each up to EXACT_COUNT_LIMIT."""
        (row,) = await self._fetch("count_jobs", queue, EXACT_COUNT_LIMIT)
        return QueueCounts(*row, exact=max(row) < EXACT_COUNT_LIMIT)

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Read what was kept with the job."""
        rows = await self._fetch("results_before", queue, job_id)
        return [(before, result) for before, result in rows]

    async def results_kept(
        self, queue: str, job_ids: Sequence[str]
    ) -> list[tuple[str, str, bytes | str]]:
        """Read what is kept with each job."""
        del queue
        return [tuple(row) for row in await self._fetch("results_kept", column(job_ids))]

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Read its row, and the state of its callback."""
        rows = await self._fetch("find_batch", queue, batch_id)
        return _batch(rows[0]) if rows else None

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Read a page of the queue's."""
        rows = await self._fetch("list_batches", queue, after or ABOVE_ALL_IDS, limit)
        return [_batch(row) for row in rows]

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Read a page of its index."""
        rows = await self._fetch("batch_jobs", queue, batch_id, after, limit, pending)
        return [BatchJobRecord(row[0], BATCH_JOB_STATES[row[1]], row[2]) for row in rows]

    async def confirm(self, queue: str) -> None:  # noqa: ARG002 - of all queues
        """Commit a message that nobody reads: whatever was committed before is waited for, too."""
        async with self._session.connection(mutates=True) as connection:
            await connection.execute("SELECT pg_logical_emit_message(true, 'lionagi-qe', '')")

    async def queues(self) -> list[str]:
        """Read the names."""
        return [row[0] for row in await self._fetch("queues")]

    async def _fetch(self, name: str, *arguments: Any, mutates: bool = False) -> list[Any]:  # noqa: ANN401
        async with self._session.connection(mutates=mutates) as connection:
            return await connection.fetch(self._session.sql[name], self._session.fleet, *arguments)


def _queues(operations: Sequence[JobOperation]) -> str:
    """Return the names of the operations' queues, for people."""
    names = dict.fromkeys(operation.queue for operation in operations)
    return ", ".join(f"queue {name!r}" for name in names)


def _locking_order(operations: Sequence[JobOperation]) -> list[int]:
    """Return positions such that concurrent calls lock jobs, then dedupe keys, in one order.

    Puts without a key lock nothing that others could want and keep their order; so do all where
    some come after others, or are of a batch.
    """
    keeps_order = any(
        isinstance(each, PutJob) and (each.after or each.batch) for each in operations
    )

    def rank(at: int) -> tuple[int, str, str]:
        operation = operations[at]
        if not isinstance(operation, PutJob):
            return 0, operation.job_id, ""
        if operation.dedupe is None or keeps_order:
            return 1, "", ""
        return 2, operation.queue, operation.dedupe

    return sorted(range(len(operations)), key=rank)


def _columns(operations: Sequence[JobOperation]) -> list[str | None]:
    """Return the operations as the columns that the function takes."""
    found: list[str | None] = [*columns([_cells(operation) for operation in operations], 8)]
    options = [options_of(each) if isinstance(each, PutJob) else "" for each in operations]
    found.append(column([each or NULL for each in options]) if any(options) else None)
    if any(operation.fence is not None for operation in operations):
        return found + fence_columns(operations)
    return [*found, None, None]


def _cells(operation: JobOperation) -> tuple[str, ...]:
    payload = operation.payload.decode() or NULL
    if isinstance(operation, PutJob):
        put = operation
        most, delay = str(put.max_attempts), str(put.delay_ms)
        priority, dedupe = str(put.priority), put.dedupe or NULL
        return "put", put.queue, put.job_id, payload, priority, delay, dedupe, most
    if isinstance(operation, CancelJob):
        cancel = operation
        return "cancel", cancel.queue, cancel.job_id, NULL, "0", str(cancel.ms), NULL, NULL
    end = operation
    if end.ending in {"retry", "bury"}:
        # Taken apart by the trigger that keeps failed attempts.
        payload = f"{end.payload.decode()}\n{end.detail.decode()}"
    return end.ending, end.queue, end.job_id, payload, str(end.claim), str(end.ms), NULL, NULL


def _results(
    operations: Sequence[JobOperation], order: Sequence[int], rows: Sequence[Any]
) -> list[JobResult]:
    results: list[JobResult] = [""] * len(operations)
    for at, (status, figure) in zip(order, rows, strict=True):
        results[at] = job_result(operations[at], status, figure or "")
    return results


def _refused(ordered: Sequence[JobOperation], error: Exception) -> Exception:
    at, status, figure = str(error).split(":", 2)
    result = job_result(ordered[int(at) - 1], status, figure)
    return result if isinstance(result, Exception) else error


def _batch(row: Any) -> BatchRecord:  # noqa: ANN401 - a row of the driver's
    batch_id, state, succeeded, *counts = row
    return BatchRecord(batch_id, STATES[state], when_of(succeeded), *counts)


def _record(row: Any) -> JobRecord:  # noqa: ANN401 - a row of the driver's
    job_id, state, *rest = row
    return JobRecord(job_id, STATES[state], *rest)
