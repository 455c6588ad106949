"""Documents of ``aqe queue``."""

from __future__ import annotations

from lionagi_qe.cli.documents.document import Json, Shape


class Counts(Shape):
    """Jobs of a queue by state."""

    ready: int
    delayed: int
    claimed: int
    done: int
    dead: int
    cancelled: int
    waiting: int
    """For other jobs to end."""
    exact: bool


class FailedAttempt(Shape):
    """One attempt at a job that failed."""

    attempt: int
    error: str
    traceback: str | None
    """null if the worker gave a text, or its lease ended."""
    worker: str | None
    """Host and process; null if its lease ended."""
    seconds: float | None
    """By the worker's clock; null if its lease ended."""
    ended_at: str
    """ISO 8601, UTC."""


class Job(Shape):
    """How a job stands, what it waits for, and what it belongs to."""

    id: str
    state: str
    attempts: int
    max_attempts: int
    priority: int
    payload: Json
    """null once it is done or cancelled."""
    result: Json
    """null until it is done."""
    error: Json
    """Of its last failed attempt; null once it is done."""
    failed_attempts: list[FailedAttempt]
    """The newest ten, the oldest first."""
    progress: Json
    created_at: str
    """ISO 8601, UTC."""
    limit_key: str | None
    due_at: str | None
    """When its delay or its claim ends, or a done or cancelled job is forgotten; ISO 8601, UTC."""
    dedupe: str | None
    batch_id: str | None
    """The batch that it is of, or whose callback it is."""
    after: dict[str, str]
    """Jobs that it comes after: waiting, done or failed; empty once it is done or cancelled."""
    schedule: str | None
    """That put it; null for none, and for one that is not there any more."""
    scheduled_for: str | None
    """ISO 8601, UTC."""


class Dead(Shape):
    """A job whose attempts are used up."""

    id: str
    payload: Json
    error: Json
    attempts: int
    priority: int
    created_at: str
    """ISO 8601, UTC."""


class DeadOfOneReason(Shape):
    """Dead jobs that died of the same."""

    reason: str
    count: int
    first: Dead
    last: Dead


class Batch(Shape):
    """Jobs that were put as one, and how far they are."""

    id: str
    """That of its callback."""
    state: str
    """Of the callback: waiting until it is decided on."""
    when: str
    """all-succeeded or all-done."""
    total: int
    pending: int
    """Have not ended."""
    done: int
    dead: int
    cancelled: int
    created_at: str
    """ISO 8601, UTC."""


class Limit(Shape):
    """What a queue, or each of its limit keys, may do at most."""

    per: str
    """queue or key."""
    concurrency: int | None
    """Most jobs that workers hold at once."""
    rate: int | None
    """Most jobs that begin each period."""
    period: float
    """Seconds."""
    burst: int


class PeriodicJob(Shape):
    """A schedule."""

    name: str
    cron: str
    timezone: str
    payload: Json
    priority: int
    missed: str
    max_attempts: int
    next_at: str | None
    """ISO 8601, UTC; null where that can't be told."""
    overlap: str
    """allow or skip."""
    problem: str | None
    """Why this machine can't see to it."""
