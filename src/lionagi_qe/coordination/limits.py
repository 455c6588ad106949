"""Limits of a queue: how many of its jobs run at once, and how many begin in a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lionagi_qe.coordination.backoff import check_delay
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.contract.limits import PER, JobLimit, Per
from lionagi_qe.persistence.values.entry import check_count

if TYPE_CHECKING:
    from lionagi_qe.persistence.calls.jobs import JobCalls

MOST = 1_000_000
MAX_PERIOD = timedelta(days=366)
# Workers look for what a rate lets begin every 10 ms at most: with a burst of what falls due in ten
# of these they keep up with any rate.
_BURST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Limit:
    """What a queue, or each of its limit keys, may do at most.

    Attributes:
        per: "queue" for all jobs together, "key" for those of each limit key by itself.
        concurrency: most jobs that workers hold at once; None for no limit.
        rate: most jobs that begin each ``period`` seconds, evenly; None for no limit.
        period: seconds.
        burst: how many may begin at once after a pause.
    """

    per: Per
    concurrency: int | None
    rate: int | None
    period: float
    burst: int


def job_limit(
    per: Per,
    concurrency: int | None,
    rate: int | None,
    period: float | timedelta,
    burst: int | None,
) -> JobLimit:
    """Return the limit, if it is one."""
    if per not in PER:
        msg = f"per {per!r}: is one of {', '.join(PER)}"
        raise InvalidArgumentError(msg)
    if concurrency is not None:
        check_count("concurrency", concurrency, MOST)
    period_ms = check_delay(period, "period")
    if not 0 < period_ms <= MAX_PERIOD / timedelta(milliseconds=1):
        msg = f"period {period!r}: is between a millisecond and {MAX_PERIOD.days} days, in seconds"
        raise InvalidArgumentError(msg)
    if rate is None:
        if burst is not None:
            msg = "burst: is about a rate; give that, too"
            raise InvalidArgumentError(msg)
        return JobLimit(per, concurrency)
    check_count("rate", rate, MOST)
    if burst is None:
        burst = max(1, math.ceil(min(rate * _BURST_SECONDS * 1000 / period_ms, rate)))
    return JobLimit(per, concurrency, rate, period_ms, check_count("burst", burst, rate))


class QueueLimits:
    """The limits of one queue."""

    def __init__(self, calls: JobCalls, queue: str) -> None:
        self._calls = calls
        self._queue = queue

    async def put(self, limit: JobLimit, *, timeout: float | None = None) -> None:
        """Set a limit in the place of the former one."""
        await self._calls.put_limit(self._queue, limit, timeout=timeout)

    async def read(self) -> list[Limit]:
        """Return the limits, the queue's own first."""
        return [
            Limit(each.per, each.concurrency, each.rate, each.period_ms / 1000, each.burst)
            for each in await self._calls.read_limits(self._queue)
        ]
