"""Jobs that come after others, in SQLite: what the end of one does to those behind it.

Everything here is done in the transaction that changes the job; ``bound`` has the fleet, the queue
and the time.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import JobNotFoundError
from lionagi_qe.persistence.contract.dependencies import MOST_FALLEN
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.contract.jobs import AFTER_FAILED, job_result
from lionagi_qe.persistence.sqlite import dependency_statements as sql
from lionagi_qe.persistence.sqlite import job_batches
from lionagi_qe.persistence.sqlite.job_batches import CALLBACK, OF_BATCH
from lionagi_qe.persistence.sqlite.limits import touch_line

if TYPE_CHECKING:
    import apsw

    from lionagi_qe.persistence.contract.jobs import PutJob
    from lionagi_qe.persistence.sqlite.job_batches import Decision

Bound = dict[str, Any]
_READY, _DONE, _DEAD, _CANCELLED, _WAITING = map(
    STATES.index, ("ready", "done", "dead", "cancelled", "waiting")
)
# In jobs.links.
AWAITED, DEPENDS = 1, 2


def look_before(connection: apsw.Connection, put: PutJob, bound: Bound) -> list[tuple[Any, ...]]:
    """Return state, outcome and end of each job that a put comes after.

    Raises:
        JobNotFoundError: one of them isn't known; nothing was changed.

    """
    found: list[tuple[Any, ...]] = []
    for before in put.after:
        row: Any = connection.execute(sql.BEFORE, {**bound, "before": before}).get
        if row is None:
            refusal = job_result(put, "unknown", before)
            raise refusal if isinstance(refusal, JobNotFoundError) else AssertionError(refusal)
        found.append((before, *row))
    return found


def is_put(connection: apsw.Connection, bound: Bound) -> bool:
    """Return whether this very job was put before."""
    return connection.execute(sql.IS_PUT, bound).get is not None


def hold(connection: apsw.Connection, found: list[tuple[Any, ...]], bound: Bound) -> bool:
    """Let a job that was just put wait for others; return whether there is nothing to wait for."""
    held: Bound = {"held": None, "fallen": None, "reason": None, "due": None}
    for before, state, outcome, due in found:
        link = 0
        if state == _DONE:
            link = 1
        elif state in {_DEAD, _CANCELLED}:
            link = 2
            if held["fallen"] is None:
                held.update(fallen=state, reason=_reason(before, state), due=due)
        else:
            held["held"] = _WAITING
            connection.execute(sql.AWAIT, {**bound, "before": before})
        result = outcome if link == 1 else None
        depends = {**bound, "before": before, "link": link, "outcome": result}
        connection.execute(sql.DEPEND, depends)
    is_free = held["held"] is None and held["fallen"] is None
    if is_free:
        held["held"] = _READY if not bound["delay"] else 0
    connection.execute(sql.HOLD, {**bound, **held})
    if held["fallen"] == _CANCELLED:
        connection.execute(sql.FORGET_LINKS, bound)
    return is_free


def after_end(connection: apsw.Connection, bound: Bound, state: int, links: int, due: int) -> bool:
    """Do what follows from the end of a job with links; return whether others became ready.

    Args:
        connection: in the transaction.
        bound: the job's id as well, and if it is done its result as the payload.
        state: that it has ended in, or not.
        links: the job's.
        due: until when it is kept if it was cancelled.
    """
    has_freed = False
    if links & AWAITED:
        if state == _DONE:
            has_freed = _free(connection, bound)
        elif state in {_DEAD, _CANCELLED}:
            has_freed = _fall(connection, bound, [(bound["id"], state, due)])
    if links & OF_BATCH and state in {_DONE, _DEAD, _CANCELLED}:
        decision = job_batches.count_ended(connection, bound, state)
        has_freed = follow(connection, bound, decision) or has_freed
    if links & CALLBACK and state in {_DONE, _CANCELLED}:
        job_batches.forget_at(connection, bound, due)
    if links & DEPENDS and state in {_DONE, _CANCELLED}:
        connection.execute(sql.FORGET_LINKS, bound)
    return has_freed


def follow(connection: apsw.Connection, bound: Bound, decision: Decision | None) -> bool:
    """Do what follows from what was decided on a callback; return whether others became ready."""
    if decision is None:
        return False
    if decision.fallen is None:
        return True
    if decision.links & AWAITED:
        return _fall(connection, bound, [(decision.callback, decision.fallen, decision.due_ms)])
    return False


def _free(connection: apsw.Connection, bound: Bound) -> bool:
    has_freed = False
    dependants: list[Any] = connection.execute(sql.MEET, bound).fetchall()
    for (dependant,) in sorted(dependants):
        freed: list[Any] = connection.execute(
            sql.FREE, {**bound, "dependant": dependant}
        ).fetchall()
        for state, key, priority in freed:
            has_freed = True
            if state == _READY:
                touch_line(connection, bound, key, priority)
    return has_freed


def fall_on(connection: apsw.Connection, bound: Bound) -> bool:
    """Let fall what was left of falls before, as much as falls at once; return as ``_fall``."""
    noted: list[Any] = connection.execute(sql.FALLS, bound).fetchall()
    return _fall(connection, bound, noted)


def _fall(connection: apsw.Connection, bound: Bound, fallen: list[tuple[str, int, int]]) -> bool:
    """Let what comes after these jobs die, or be cancelled, with them; note what is left.

    Returns whether callbacks became ready, as the last of their batches fell.
    """
    left, has_freed = MOST_FALLEN, False
    waiting = deque(fallen)
    while waiting:
        before, state, due = waiting[0]
        told = {**bound, "before": before, "fallen": state, "due": due}
        if left <= 0:
            connection.execute(sql.NOTE_FALL, told)
            waiting.popleft()
            continue
        told["reason"] = _reason(before, state)
        dependants: list[Any] = connection.execute(
            sql.DEPENDANTS, {**told, "limit": left}
        ).fetchall()
        if len(dependants) < left:
            waiting.popleft()
        left -= len(dependants)
        for (dependant,) in dependants:
            one = {**told, "id": dependant}
            connection.execute(sql.UNMEET, one)
            links: Any = connection.execute(sql.FALL, one).get
            if links is None:
                continue
            if links & AWAITED:
                waiting.append((dependant, state, due))
            if links & OF_BATCH:
                decision = job_batches.count_ended(connection, one, state)
                has_freed = follow(connection, bound, decision) or has_freed
            if state == _CANCELLED:
                connection.execute(sql.FORGET_LINKS, one)
    return has_freed


def _reason(before: str, state: int) -> bytes:
    """Return in JSON why a job isn't done."""
    return f'{AFTER_FAILED}{json.dumps(before)[1:-1]}, which is {STATES[state]}"'.encode()


def may_revive(connection: apsw.Connection, bound: Bound) -> int | None:
    """Return the state that a dead job gets when it is revived; None if it has to stay dead.

    What it comes after and is done by now is met.
    """
    rows: list[Any] = connection.execute(sql.UNMET, bound).fetchall()
    if any(state in {None, _DEAD, _CANCELLED} for _, state, _ in rows):
        return None
    is_held = False
    for before, state, outcome in rows:
        is_done = state == _DONE
        if not is_done:
            is_held = True
            connection.execute(sql.AWAIT, {**bound, "before": before})
        link = {"before": before, "link": int(is_done), "outcome": outcome if is_done else None}
        connection.execute(sql.DEPEND, {**bound, **link})
    return _WAITING if is_held else _READY


def results_of(connection: apsw.Connection, bound: Bound) -> list[tuple[str, bytes | str]]:
    """Return the results of the jobs that a job comes after."""
    rows: list[Any] = connection.execute(sql.RESULTS, bound).fetchall()
    return rows
