"""Work queues in SQLite: rows beside the entries, changed by the one writer."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.contract.job_batches import ABOVE_ALL_IDS
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
    PutJob,
    QueueCounts,
    TransactionOperations,
    TransactionResults,
)
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.sqlite import dependencies, job_batches, job_changes, sealed_texts
from lionagi_qe.persistence.sqlite import job_statements as sql
from lionagi_qe.persistence.sqlite.job_details import details_of
from lionagi_qe.persistence.sqlite.job_pages import page_of_jobs
from lionagi_qe.persistence.sqlite.limits import ClaimInTurn, in_turn
from lionagi_qe.persistence.sqlite.line_statements import FORGET_LINES
from lionagi_qe.persistence.sqlite.operations import apply, check_fence
from lionagi_qe.persistence.sqlite.schema import now
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord, BatchRecord
    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.sealed_texts import TextExchange
    from lionagi_qe.persistence.sqlite.session import SqliteSession

T = TypeVar("T")
EXACT_COUNT_LIMIT = 100_000
# Seconds between two looks at whether another process changed the file, while somebody waits.
_LOOK = 0.02

_log = logging.getLogger(__name__)


class SqliteJobs:
    """The queues of the backend's fleet."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session
        self.notifier = Notifier()
        self._looking: asyncio.Task[None] | None = None
        # Queues in which the end of a job made others ready, to be told of once that is committed.
        self._freed: set[str] = set()

    def _bound(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - SQL's values
        return {"fleet": self._session.fleet, "now": now(), **more}

    # Waking up

    async def listen(self, _queue: str) -> bool:
        """Look at the file's change counter every now and then, for as long as somebody waits."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look for jobs")
        return True

    async def _look(self) -> None:
        version = -1
        loop = asyncio.get_running_loop()
        due: dict[str, float] = {}
        while True:
            await asyncio.sleep(_LOOK)
            waited = self.notifier.awaited
            if not waited:
                return
            try:
                version, found = await self._session.read(partial(self._changes, waited, version))
            except AqeError as error:
                _log.warning("can't look for jobs: %s", error, extra=log_fields(error=error))
                found = dict.fromkeys(waited, 0)
            due.update({queue: loop.time() + wait / 1000 for queue, wait in found.items()})
            for queue in [queue for queue, moment in due.items() if moment <= loop.time()]:
                del due[queue]
                self.notifier.notify(queue)

    def _changes(
        self, queues: list[str], seen: int, connection: apsw.Connection
    ) -> tuple[int, dict[str, int]]:
        """Return the change counter and, if it isn't the one ``seen``, when queues have work."""
        version = int(connection.pragma("data_version") or 0)
        if version == seen:
            return version, {}
        found: dict[str, Any] = {
            queue: connection.execute(sql.FINDS_IN, self._bound(queue=queue)).get
            for queue in queues
        }
        return version, {queue: wait for queue, wait in found.items() if wait is not None}

    async def close(self) -> None:
        """Stop looking."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait({looking})

    # Changing

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Apply all in one transaction."""

        def change(connection: apsw.Connection) -> list[JobResult]:
            results: list[JobResult] = []
            for operation in operations:
                try:
                    results.append(self._apply(connection, operation))
                except AqeError as error:
                    results.append(error)
            return results

        return await self._changed(change)

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply all in one transaction, which the first error undoes."""

        def change(connection: apsw.Connection) -> TransactionResults:
            fleet = self._session.fleet
            results = apply(connection, fleet, step.operations, now(), atomic=True)
            return TransactionResults(
                list(results), [self._apply(connection, operation) for operation in step.jobs]
            )

        return await self._changed(change)

    async def _changed(self, change: Callable[[apsw.Connection], T]) -> T:
        result = await self._session.transact(change)
        if self._freed:
            freed, self._freed = self._freed, set()
            for queue in freed:
                self.notifier.notify(queue)
        return result

    def _apply(self, connection: apsw.Connection, operation: JobOperation) -> str:
        bound = self._bound(queue=operation.queue, id=operation.job_id, payload=operation.payload)
        if operation.fence is not None:
            check_fence(connection, self._session.fleet, operation.fence, bound["now"])
        if isinstance(operation, PutJob):
            job_id, has_freed = job_changes.put(connection, operation, bound)
            if has_freed:
                self._freed.add(operation.queue)
            return job_id
        if isinstance(operation, CancelJob):
            return job_changes.cancel(connection, operation, bound, self._freed.add)
        return job_changes.end(connection, operation, bound, self._freed.add)

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Make ready what is due, then take the first ones."""

        def take(connection: apsw.Connection) -> Claim:
            bound = self._bound(
                queue=queue, count=count, lease=lease_ms, lease_ended=LEASE_ENDED.encode()
            )
            before: Any = connection.execute(sql.BEFORE_CLAIM, bound).get
            is_falling, is_due, has_lines = before
            if is_falling and dependencies.fall_on(connection, bound):
                self._freed.add(queue)
            if is_due and job_changes.make_ready(connection, bound):
                self._freed.add(queue)
            if has_lines:
                return _claim_in_turn(connection, bound, count)
            rows: list[Any] = connection.execute(sql.CLAIM, bound).fetchall()
            jobs = [ClaimedJob(*row[1:]) for row in sorted(rows, key=in_turn)]
            if len(jobs) == count:
                return Claim(jobs, 0)
            due: Any = connection.execute(sql.NEXT_DUE, bound).get
            return Claim(jobs, due)

        return await self._changed(take)

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Make dead ones ready."""

        def change(connection: apsw.Connection) -> int:
            found: list[tuple[int, int, str]] = []
            for job_id in job_ids:
                bound = self._bound(queue=queue, id=job_id)
                rows: list[Any] = connection.execute(sql.DEAD_LINKS, bound).fetchall()
                found += [(seq, links, job_id) for seq, links in rows]
            return sum(
                job_changes.revive(connection, links, self._bound(queue=queue, id=job_id))
                for _, links, job_id in sorted(found)
            )

        return await self._session.transact(change)

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Delete dead ones."""

        def change(connection: apsw.Connection) -> int:
            return sum(
                job_changes.purge(connection, self._bound(queue=queue, id=job_id))
                for job_id in job_ids
            )

        return await self._session.transact(change)

    async def exchange(self, queue: str, exchanges: Sequence[TextExchange]) -> int:
        """Exchange sealed texts in one transaction."""
        return await self._session.transact(
            lambda connection: sealed_texts.exchange(
                connection, self._bound(queue=queue), exchanges
            )
        )

    def forget(self, connection: apsw.Connection, limit: int) -> bool:
        """Delete ended jobs and keys that were kept long enough; return whether more is due."""
        is_more = False
        for statement in (sql.FORGET, sql.FORGET_CANCELLED, sql.FORGET_KEYS, FORGET_LINES):
            connection.execute(statement, self._bound(limit=limit))
            is_more |= connection.changes() == limit
        return job_batches.forget(connection, self._bound(limit=limit)) or is_more

    # Looking

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Look the ids up."""

        def find(connection: apsw.Connection) -> list[JobRecord | None]:
            bound = self._bound(queue=queue)
            rows = (connection.execute(sql.FIND, {**bound, "id": job_id}).get for job_id in job_ids)
            return [None if row is None else _record(row) for row in rows]

        return await self._session.read(find)

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Look it up with its links."""
        bound = self._bound(queue=queue, id=job_id)
        return await self._session.read(lambda connection: details_of(connection, bound))

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Read a page of the index of dead ones."""

        def read(connection: apsw.Connection) -> list[JobRecord]:
            bound = self._bound(queue=queue, after=after, limit=limit)
            return [_record(row) for row in connection.execute(sql.LIST_DEAD, bound)]

        return await self._session.read(read)

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Read a page of the state's index."""
        bound = self._bound(queue=queue)
        return await self._session.read(
            lambda connection: page_of_jobs(connection, state, after, limit, bound)
        )

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Read what was kept with the job."""
        bound = self._bound(queue=queue, id=job_id)
        return await self._session.read(
            lambda connection: dependencies.results_of(connection, bound)
        )

    async def results_kept(
        self, queue: str, job_ids: Sequence[str]
    ) -> list[tuple[str, str, bytes | str]]:
        """Read what is kept with each job."""
        return await self._session.read(
            lambda connection: sealed_texts.results_kept(
                connection, self._bound(queue=queue), job_ids
            )
        )

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Read its row."""
        bound = self._bound(queue=queue, id=batch_id)
        return await self._session.read(lambda connection: job_batches.find(connection, bound))

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Read a page of the queue's."""
        bound = self._bound(queue=queue, after=after or ABOVE_ALL_IDS, limit=limit)
        return await self._session.read(
            lambda connection: job_batches.list_newest(connection, bound)
        )

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Read a page of its index."""
        bound = self._bound(queue=queue, id=batch_id, after=after, limit=limit, pending=pending)
        return await self._session.read(lambda connection: job_batches.list_jobs(connection, bound))

    async def count(self, queue: str) -> QueueCounts:
        """Count by state, each up to EXACT_COUNT_LIMIT."""

        def read(connection: apsw.Connection) -> QueueCounts:
            bound = self._bound(queue=queue, limit=EXACT_COUNT_LIMIT)
            row: Any = connection.execute(sql.COUNT, bound).get
            return QueueCounts(*row, exact=max(row) < EXACT_COUNT_LIMIT)

        return await self._session.read(read)

    async def confirm(self, queue: str) -> None:
        """What can be read is on the disk as ``synchronous`` says."""

    async def queues(self) -> list[str]:
        """Read the names."""

        def read(connection: apsw.Connection) -> list[str]:
            return [str(name) for (name,) in connection.execute(sql.QUEUES, self._bound())]

        return await self._session.read(read)


def _claim_in_turn(connection: apsw.Connection, bound: dict[str, Any], count: int) -> Claim:
    claim = ClaimInTurn(connection, bound, count)
    claim.take()
    jobs = [ClaimedJob(*row[1:]) for row in claim.rows]
    if len(jobs) == count:
        return Claim(jobs, 0)
    due: Any = connection.execute(sql.NEXT_DUE, bound).get
    waits = [wait for wait in (due, claim.wait_ms) if wait is not None]
    return Claim(jobs, min(waits, default=None))


def _record(row: Any) -> JobRecord:  # noqa: ANN401 - a row
    job_id, state, *rest = row
    return JobRecord(job_id, STATES[state], *rest)
