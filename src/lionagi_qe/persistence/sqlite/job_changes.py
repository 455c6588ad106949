"""What is done to one job in SQLite: it is put, ended, cancelled, revived or purged.

Everything here is done in the transaction of who calls; ``bound`` has the fleet, the queue and the
time, and the id of the job that is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import JobLostError
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.sqlite import dependencies, job_batches
from lionagi_qe.persistence.sqlite import job_statements as sql
from lionagi_qe.persistence.sqlite.dependencies import DEPENDS
from lionagi_qe.persistence.sqlite.job_batches import CALLBACK, OF_BATCH
from lionagi_qe.persistence.sqlite.limits import touch_line
from lionagi_qe.persistence.sqlite.line_statements import NOTE_LINES

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from lionagi_qe.persistence.contract.jobs import CancelJob, EndJob, PutJob

_READY, _CANCELLED = STATES.index("ready"), STATES.index("cancelled")


def put(connection: apsw.Connection, put: PutJob, bound: dict[str, Any]) -> tuple[str, bool]:
    """Put a job; return the id of the one that counts, and whether another became ready by it.

    Raises:
        JobNotFoundError, BatchEndedError: it isn't put; nothing was changed but what is noted of
            the queue.

    """
    bound.update(
        delay=put.delay_ms,
        priority=put.priority,
        max_attempts=put.max_attempts,
        dedupe=put.dedupe,
        limit_key=put.limit_key,
    )
    connection.execute(sql.NOTE_QUEUE, bound)
    if put.limit_key is not None:
        connection.execute(NOTE_LINES, bound)
    if put.dedupe is not None:
        other = _holder(connection, put, bound)
        if other is not None:
            return other, False
    before = _look_before(connection, put, bound)
    connection.execute(sql.PUT, bound)
    if not connection.changes():
        return put.job_id, False
    if put.makes is not None:
        job_batches.make(connection, put.makes, bound)
    is_free = not before or dependencies.hold(connection, before, bound)
    if put.limit_key is not None and not put.delay_ms and is_free:
        touch_line(connection, bound, put.limit_key, put.priority)
    if put.dedupe_ms:
        connection.execute(sql.KEEP_KEY, {**bound, "dedupe_ms": put.dedupe_ms})
    if put.batch is None:
        return put.job_id, False
    decision = job_batches.enter(connection, put.batch, bound)
    return put.job_id, dependencies.follow(connection, bound, decision)


def _look_before(
    connection: apsw.Connection, put: PutJob, bound: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Return what a put comes after, before anything is changed, since it may be refused."""
    if not (put.after or put.batch) or dependencies.is_put(connection, bound):
        return []
    found = dependencies.look_before(connection, put, bound)
    if put.batch is not None:
        job_batches.grow(connection, put.batch, bound)
    return found


def _holder(connection: apsw.Connection, put: PutJob, bound: dict[str, Any]) -> str | None:
    """Return the id of the job that has the put's key, treated as the put wants; None to add it."""
    row: Any = connection.execute(sql.HOLDER, bound).get
    if row is None:
        kept: Any = connection.execute(sql.KEPT_KEY, bound).get
        return None if kept is None else str(kept)
    holder, state, replaced_by = row
    if put.on_duplicate == "keep" or put.job_id in {holder, replaced_by}:
        return str(holder)
    bound["holder"] = holder
    if STATES[state] == "claimed":
        if put.on_duplicate == "earliest":
            return str(holder)
        connection.execute(sql.DETACH, bound)
        connection.execute(sql.MOVE_KEY, bound)
        return None
    change = sql.REPLACE if put.on_duplicate == "replace" else sql.HASTEN
    ((its_state, key, priority),) = _rows(connection, change, bound)
    if its_state == _READY:
        touch_line(connection, bound, key, priority)
    return str(holder)


def make_ready(connection: apsw.Connection, bound: dict[str, Any]) -> bool:
    """Make ready what is due, or dead if it was its last attempt.

    Returns whether other jobs became ready by an end.
    """
    has_freed = False
    for job_id, state, key, priority, links, due in _rows(connection, sql.DUE, bound):
        touch_line(connection, bound, key, priority if state == _READY else None)
        if links:
            ended = {**bound, "id": job_id}
            has_freed |= dependencies.after_end(connection, ended, state, links, due)
    return has_freed


def revive(connection: apsw.Connection, links: int, bound: dict[str, Any]) -> int:
    """Make a dead job ready, or let it wait again; return 1, or 0 if it stays dead."""
    bound["revived"] = _READY
    if links & CALLBACK:
        bound["revived"] = job_batches.may_call(connection, bound)
        if bound["revived"] is None:
            return 0
    if links & DEPENDS:
        bound["revived"] = dependencies.may_revive(connection, bound)
        if bound["revived"] is None:
            return 0
    revived = _rows(connection, sql.REVIVE, bound)
    for key, priority in revived:
        if bound["revived"] == _READY:
            touch_line(connection, bound, key, priority)
    if revived and links & OF_BATCH:
        job_batches.count_revived(connection, bound)
    return len(revived)


def purge(connection: apsw.Connection, bound: dict[str, Any]) -> int:
    """Delete a dead job with what is kept for it; return how many that were."""
    purged = _rows(connection, sql.PURGE, bound)
    for (links,) in purged:
        dependencies.after_end(connection, bound, _CANCELLED, links & (DEPENDS | CALLBACK), 0)
    return len(purged)


def end(
    connection: apsw.Connection,
    end: EndJob,
    bound: dict[str, Any],
    wake: Callable[[str], None],
) -> str:
    """End a claim, or extend it; ``wake`` is told of the queue if others became ready by it.

    Raises:
        JobLostError: it is another's by now.

    """
    bound.update(ending=end.ending, claim=end.claim, ms=end.ms, detail=end.detail or end.payload)
    ended: Any = connection.execute(sql.END, bound).get
    if ended is not None:
        state, key, priority, links, due = ended
        if key is not None and end.ending not in {"extend", "progress"}:
            touch_line(connection, bound, key, priority if state == _READY else None)
        if links and dependencies.after_end(connection, bound, state, links, due):
            wake(end.queue)
        return STATES[state]
    state = connection.execute(sql.ENDED, bound).get
    if state is None:
        raise JobLostError(end.job_id)
    return STATES[state]


def cancel(
    connection: apsw.Connection,
    cancel: CancelJob,
    bound: dict[str, Any],
    wake: Callable[[str], None],
) -> str:
    """Cancel a job, or have its worker told; as ``end`` otherwise."""
    bound.update(ms=cancel.ms)
    state: Any = None
    for its_state, key, links, due in _rows(connection, sql.CANCEL, bound):
        state = its_state
        touch_line(connection, bound, key, None)
        if links and dependencies.after_end(connection, bound, state, links, due):
            wake(cancel.queue)
    if state is None:
        state = connection.execute(sql.STATE, bound).get
    return "unknown" if state is None else STATES[state]


def _rows(connection: apsw.Connection, statement: str, bound: dict[str, Any]) -> list[Any]:
    """Return all rows that a change returns: it isn't over before."""
    return connection.execute(statement, bound).fetchall()
