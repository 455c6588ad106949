"""A job to be put: its settings, and what is allowed of them."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.coordination.backoff import check_delay
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.dependencies import MAX_AFTER
from lionagi_qe.persistence.contract.jobs import ON_DUPLICATE
from lionagi_qe.persistence.values.entry import check_list
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from lionagi_qe.persistence.contract.jobs import OnDuplicate

MAX_PRIORITY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job of ``put_many`` with settings of its own, which are those of ``WorkQueue.put``."""

    payload: Any
    priority: int = 0
    delay: float | timedelta = 0
    dedupe: str | None = None
    on_duplicate: OnDuplicate = "keep"
    dedupe_for: float | timedelta = 0
    limit_key: str | None = None
    after: Sequence[str] = ()


def new_jobs(payloads: object) -> list[NewJob]:
    """Return a list of payloads as jobs; those that are some already as they are."""
    return [
        each if isinstance(each, NewJob) else NewJob(each)
        for each in check_list("payloads", payloads)
    ]


def new_job_ids(count: int) -> list[str]:
    """Return so many ids of which each sorts behind the one before."""
    return sorted(new_job_id() for _ in range(count))


def new_job_id() -> str:
    """Return an id that nobody else makes, later ones sorting behind earlier ones, roughly."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def check_duplicates(job: NewJob) -> tuple[OnDuplicate, int]:
    """Return what a job asks of duplicates, and for how many ms its key is kept."""
    if job.on_duplicate not in ON_DUPLICATE:
        msg = f"on_duplicate {job.on_duplicate!r}: is one of {', '.join(ON_DUPLICATE)}"
        raise InvalidArgumentError(msg)
    dedupe_ms = check_delay(job.dedupe_for, "dedupe_for")
    if job.dedupe is None and (dedupe_ms or job.on_duplicate != "keep"):
        msg = "on_duplicate and dedupe_for: are about jobs with the same dedupe; give that, too"
        raise InvalidArgumentError(msg)
    return job.on_duplicate, dedupe_ms


def check_after(job: NewJob) -> tuple[str, ...]:
    """Return the ids of the jobs that a job comes after, each once."""
    if job.after == ():
        return ()
    if isinstance(job.after, str):
        msg = f"after {job.after!r}: is a list of job ids; give [...]"
        raise InvalidArgumentError(msg)
    ids = tuple(dict.fromkeys(check_name("after", each) for each in check_list("after", job.after)))
    if len(ids) > MAX_AFTER:
        msg = (
            f"after: {len(ids)} jobs; at most {MAX_AFTER}. Let jobs in between come after some "
            "each, and this one after those"
        )
        raise InvalidArgumentError(msg)
    if ids and job.on_duplicate != "keep":
        msg = f"on_duplicate {job.on_duplicate!r}: what a job comes after never changes; give one"
        raise InvalidArgumentError(msg)
    return ids


def check_priority(priority: object) -> int:
    """Return a priority, if it is one."""
    if isinstance(priority, bool) or not isinstance(priority, int):
        msg = f"priority {priority!r}: is an integer, the lower the sooner"
        raise InvalidArgumentError(msg)
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        msg = f"priority {priority!r}: must fit 32 bits"
        raise InvalidArgumentError(msg)
    return priority
