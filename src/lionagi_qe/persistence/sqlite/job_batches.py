"""Batches of jobs in SQLite: what the put, the end and the revival of one do to its batch.

Everything that changes is done in the transaction that changes the job; ``bound`` has the fleet,
the queue, the time and the job's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import BatchEndedError
from lionagi_qe.persistence.contract.job_batches import (
    BATCH_FAILED,
    BATCH_JOB_STATES,
    BatchJobRecord,
    BatchRecord,
    when_of,
)
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.sqlite import job_batch_statements as sql

if TYPE_CHECKING:
    import apsw

    from lionagi_qe.persistence.contract.job_batches import InBatch, MakeBatch

Bound = dict[str, Any]
# In jobs.links.
OF_BATCH, CALLBACK = 4, 8
_DEAD, _CANCELLED = STATES.index("dead"), STATES.index("cancelled")
_ENDED = frozenset(number for number in BATCH_JOB_STATES if number)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a callback: ready, or ``fallen`` (dead or cancelled) with its links."""

    callback: str
    fallen: int | None = None
    links: int = 0
    due_ms: int = 0


def make(connection: apsw.Connection, makes: MakeBatch, bound: Bound) -> None:
    """Let a job that was just put wait for the batch whose callback it is."""
    succeeded = makes.when == "all-succeeded"
    made = {**bound, "succeeded": succeeded, "jobs": makes.jobs, "keep_ms": makes.keep_ms}
    connection.execute(sql.MAKE, made)
    connection.execute(sql.HOLD_CALLBACK, made)


def grow(connection: apsw.Connection, batch: InBatch, bound: Bound) -> None:
    """Count jobs that are about to be put.

    Raises:
        BatchEndedError: the batch takes none; nothing was changed.

    """
    if not batch.adds:
        return
    connection.execute(sql.GROW, {**bound, "batch": batch.batch_id, "adds": batch.adds})
    if not connection.changes():
        raise BatchEndedError(batch.batch_id)


def enter(connection: apsw.Connection, batch: InBatch, bound: Bound) -> Decision | None:
    """Make a job that was just put one of its batch; it may have ended already, with another."""
    connection.execute(sql.ENTER, {**bound, "batch": batch.batch_id})
    ((state,),) = connection.execute(sql.LINK, bound).fetchall()
    return count_ended(connection, bound, int(state)) if state in _ENDED else None


def count_ended(connection: apsw.Connection, bound: Bound, state: int) -> Decision | None:
    """Count a job that has ended, once; return what that decides on the callback, if it does."""
    ended: Bound = {**bound, "ended": state}
    batches: list[Any] = connection.execute(sql.ENDED, ended).fetchall()
    for (batch,) in batches:
        ended["batch"] = batch
        counts: list[Any] = connection.execute(sql.COUNT_ENDED, ended).fetchall()
        for pending, succeeded, done, dead, cancelled, keep_ms in counts:
            if pending:
                return None
            if succeeded and dead + cancelled:
                reason = f'{BATCH_FAILED}{dead} are dead, {cancelled} cancelled, {done} done"'
                fallen = _DEAD if dead else _CANCELLED
                return _refuse(connection, ended, fallen, reason, bound["now"] + keep_ms)
            if connection.execute(sql.CALL, ended).fetchall():
                return Decision(batch)
    return None


def _refuse(
    connection: apsw.Connection, ended: Bound, fallen: int, reason: str, due: int
) -> Decision | None:
    more = {"fallen": fallen, "reason": reason.encode(), "due": due}
    rows: list[Any] = connection.execute(sql.REFUSE, {**ended, **more}).fetchall()
    for (links,) in rows:
        if fallen == _CANCELLED:
            forget_at(connection, {**ended, "id": ended["batch"]}, due)
        return Decision(ended["batch"], fallen, links, due)
    return None


def forget_at(connection: apsw.Connection, bound: Bound, due: int) -> None:
    """Have the batch of this callback forgotten together with it."""
    connection.execute(sql.FORGET_AT, {**bound, "due": due})


def count_revived(connection: apsw.Connection, bound: Bound) -> None:
    """Count a dead job that is to be ready again as pending; a callback that fell waits again."""
    batches: list[Any] = connection.execute(sql.REVIVED, bound).fetchall()
    for (batch,) in batches:
        of_batch = {**bound, "batch": batch}
        connection.execute(sql.COUNT_REVIVED, of_batch)
        connection.execute(sql.WAIT_AGAIN, of_batch)


def may_call(connection: apsw.Connection, bound: Bound) -> int | None:
    """Return the state that a dead callback gets when it is revived; None if it stays dead."""
    state: Any = connection.execute(sql.MAY_CALL, bound).get
    return state


def forget(connection: apsw.Connection, bound: Bound) -> bool:
    """Delete what is due, ``limit`` at most; return whether there is more."""
    is_more = False
    for statement in (sql.FORGET_JOBS, sql.FORGET):
        connection.execute(statement, bound)
        is_more |= connection.changes() == bound["limit"]
    return is_more


def find(connection: apsw.Connection, bound: Bound) -> BatchRecord | None:
    """Return a batch; None for an unknown one."""
    rows: list[Any] = connection.execute(sql.FIND, bound).fetchall()
    return _record(rows[0]) if rows else None


def list_newest(connection: apsw.Connection, bound: Bound) -> list[BatchRecord]:
    """Return a page of a queue's batches."""
    return [_record(row) for row in connection.execute(sql.LIST, bound)]


def list_jobs(connection: apsw.Connection, bound: Bound) -> list[BatchJobRecord]:
    """Return a page of a batch's jobs."""
    rows: Any = connection.execute(sql.JOBS, bound)
    return [BatchJobRecord(job_id, BATCH_JOB_STATES[state], out) for job_id, state, out in rows]


def _record(row: Any) -> BatchRecord:  # noqa: ANN401 - a row
    batch_id, state, succeeded, *counts = row
    return BatchRecord(batch_id, STATES[state], when_of(succeeded), *counts)
