"""Limits of queues in SQLite, and claims that keep to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.persistence.contract.limits import MOST_PASSED, Allowance, JobLimit
from lionagi_qe.persistence.sqlite import job_statements, line_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from lionagi_qe.persistence.contract.limits import Per
    from lionagi_qe.persistence.sqlite.session import SqliteSession


class SqliteLimits:
    """The limits of the backend's fleet.

    Args:
        session: how the file is reached.
        notify: wakes those of this process who wait for jobs of a queue.
    """

    def __init__(self, session: SqliteSession, notify: Callable[[str], None]) -> None:
        self._session = session
        self._notify = notify

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Change the row, and put all lines in turn."""
        limits_nothing = limit.concurrency is None and limit.rate is None

        def change(connection: apsw.Connection) -> None:
            bound = {
                "fleet": self._session.fleet,
                "queue": queue,
                "per": limit.per,
                "concurrency": limit.concurrency,
                "rate": limit.rate,
                "period": limit.period_ms,
                "burst": limit.burst,
            }
            connection.execute(job_statements.NOTE_QUEUE, bound)
            connection.execute(line_statements.NOTE_LINES, bound)
            statement = line_statements.LIFT if limits_nothing else line_statements.LIMIT
            connection.execute(statement, bound)
            connection.execute(line_statements.ALL_IN_TURN, bound)

        await self._session.transact(change)
        self._notify(queue)

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Read the rows."""

        def read(connection: apsw.Connection) -> Sequence[JobLimit]:
            return limits_of(connection, {"fleet": self._session.fleet, "queue": queue})

        return await self._session.read(read)


def limits_of(connection: apsw.Connection, bound: dict[str, Any]) -> list[JobLimit]:
    """Return the limits of a queue, the queue's own first."""
    rows: Any = connection.execute(line_statements.READ_LIMITS, bound)
    return [JobLimit(*row) for row in rows]


@dataclass(slots=True)
class ClaimInTurn:
    """A claim of jobs of a queue that has limits or keys.

    Args:
        connection: in a transaction, in which what is due was made ready.
        bound: fleet, queue, now and lease.
        count: most jobs.

    Attributes:
        rows: the jobs claimed, in order.
        wait_ms: in how many milliseconds more may be had because of a rate; None if not for that.
    """

    connection: apsw.Connection
    bound: dict[str, Any]
    count: int
    rows: list[Any] = field(default_factory=list[Any])
    wait_ms: int | None = None
    _per_key: JobLimit = field(init=False)

    def take(self) -> None:
        """Claim what the limits allow."""
        limits = self.limits()
        self._per_key = limits.get("key", JobLimit("key"))
        of_queue = limits.get("queue", JobLimit("queue"))
        room = self._under_concurrency(of_queue)
        tat: Any = self.connection.execute(line_statements.OWN_TAT, self.bound).get
        allowance = Allowance(of_queue, tat, self.bound["now"])
        if of_queue.rate is not None:
            room = min(room, allowance.left)
        if room > 0:
            self.connection.execute(line_statements.FREE_BY_TIME, self.bound)
            self._serve(room)
        if of_queue.rate is not None:
            after = replace(allowance, tat_ms=allowance.after(len(self.rows)))
            bound = {**self.bound, "tat": after.tat_ms}
            self.connection.execute(line_statements.SET_OWN_TAT, bound)
            self._wait(after.wait_ms or None)

    def limits(self) -> dict[Per, JobLimit]:
        """Return those of the queue."""
        return {limit.per: limit for limit in limits_of(self.connection, self.bound)}

    def _wait(self, milliseconds: int | None) -> None:
        if milliseconds is not None:
            waits = (milliseconds, self.wait_ms)
            self.wait_ms = min(wait for wait in waits if wait is not None)

    def _under_concurrency(self, limit: JobLimit) -> int:
        if limit.concurrency is None:
            return self.count
        bound = {**self.bound, "most": limit.concurrency}
        claimed: Any = self.connection.execute(line_statements.CLAIMED, bound).get
        return min(self.count, limit.concurrency - claimed)

    def _serve(self, room: int) -> None:
        passed = 0
        while len(self.rows) < room:
            line: Any = self.connection.execute(line_statements.NEXT_LINE, self.bound).fetchall()
            own: Any = self.connection.execute(line_statements.OWN_NEXT, self.bound).fetchall()
            if not line:
                # The queue's own line is the only one.
                if own:
                    self._claim_own(room - len(self.rows))
                break
            if own and own[0] <= line[0][:2]:
                self._claim_own(1)
            elif not self._claim_of(*line[0]):
                passed += 1
                if passed > MOST_PASSED:
                    self._wait(0)
                    return
        free: Any = self.connection.execute(line_statements.NEXT_FREE, self.bound).get
        self._wait(free)

    def _claim_own(self, count: int) -> None:
        found: Any = self.connection.execute(
            job_statements.CLAIM, {**self.bound, "count": count}
        ).fetchall()
        self.rows += sorted(found, key=in_turn)
        self.connection.execute(line_statements.SERVED, {**self.bound, "key": "", "tat": None})

    def _claim_of(self, priority: int, _turn: int, key: str, tat: float) -> bool:
        """Claim a line's next job; False if the line had to be passed over."""
        bound = {**self.bound, "key": key}
        connection, limit = self.connection, self._per_key
        job = cast("Any", connection.execute(line_statements.NEXT_OF_LINE, bound).fetchall())
        if not job:
            connection.execute(line_statements.EMPTY_LINE, bound)
            connection.execute(line_statements.REMOVE_LINE, bound)
            return False
        (seq, its_priority) = job[0]
        if its_priority > priority:
            connection.execute(line_statements.LOWER_LINE, {**bound, "priority": its_priority})
            return False
        if limit.concurrency is not None:
            most = {**bound, "most": limit.concurrency}
            claimed: Any = connection.execute(line_statements.CLAIMED_OF_LINE, most).get
            if claimed >= limit.concurrency:
                connection.execute(line_statements.WAIT_FOR_END, bound)
                return False
        allowance = Allowance(limit, tat, self.bound["now"])
        if limit.rate is not None:
            if wait := allowance.wait_ms:
                wanted = {**bound, "wait": wait, "tat": allowance.after(0)}
                connection.execute(line_statements.WAIT_FOR_RATE, wanted)
                return False
            tat = allowance.after(1)
        self.rows += connection.execute(line_statements.CLAIM_ONE, {**bound, "seq": seq})
        connection.execute(line_statements.SERVED, {**bound, "tat": tat})
        return True


def touch_line(
    connection: apsw.Connection, bound: dict[str, Any], key: str | None, priority: int | None
) -> None:
    """Put the line of a limit key in turn, since one of its jobs may be claimed or ended.

    Args:
        connection: in a transaction that changes the job.
        bound: fleet and queue.
        key: the job's; None for one without, of which nothing has to be done.
        priority: that of a job that may be claimed; None for one that was claimed and has ended.
    """
    if key is None:
        return
    touched = {**bound, "key": key, "priority": priority}
    if priority is not None:
        connection.execute(line_statements.ENTER, touched)
    connection.execute(line_statements.TOUCH, touched)


def in_turn(row: Any) -> tuple[int, int]:  # noqa: ANN401 - a row
    """Return what jobs claimed at once are sorted by: priority, then age."""
    return row[3], row[0]
