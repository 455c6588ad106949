"""The contract of limits on queues that a backend fills, beside its queues.

A job may have a limit key. The jobs of a key wait in a line of their own, those without one in the
queue's. Of the lines whose next job may begin, that of the lowest priority number is served; among
equals they take turns, and a line that begins to wait is the last. So that no claim has to look at
lines that can't be served, they are taken out of turn when that shows: until one of their jobs
ends, or until the time at which their rate allows the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

Per = Literal["queue", "key"]
PER: tuple[Per, ...] = ("queue", "key")
# How many lines a claim takes out of turn before it comes back with what it has.
MOST_PASSED = 1_000
# What a claim may begin early, in periods of a job, since times are sums of fractions.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class JobLimit:
    """What a queue, or each of its keys, may do at most.

    Attributes:
        per: the queue as a whole, or each limit key by itself.
        concurrency: most jobs that are claimed at once; None for no limit.
        rate: most jobs that begin each ``period_ms``, evenly; None for no limit.
        period_ms: see ``rate``.
        burst: how many may begin at once after a pause, of those.
    """

    per: Per
    concurrency: int | None = None
    rate: int | None = None
    period_ms: int = 1_000
    burst: int = 1

    @property
    def spacing_ms(self) -> float:
        """How far jobs lie apart on the average; 0 without a rate."""
        return self.period_ms / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rate at a moment, by the generic cell rate algorithm.

    Attributes:
        tat_ms: when the next job would begin if all had been evenly spaced: the one number that
            is kept of the past. What a former, slower rate left of it counts up to one burst.
    """

    limit: JobLimit
    tat_ms: float
    now_ms: int

    @property
    def _spacing(self) -> float:
        return self.limit.spacing_ms

    @property
    def _from(self) -> float:
        latest = self.now_ms + self.limit.burst * self._spacing
        return min(max(self.tat_ms, self.now_ms), latest)

    @property
    def left(self) -> int:
        """How many jobs may begin now, where the limit has a rate."""
        ahead = (self._from - self.now_ms) / self._spacing
        return math.floor(self.limit.burst - ahead + _ROUNDING)

    @property
    def wait_ms(self) -> int:
        """In how many milliseconds one may begin; 0 for now."""
        if self.left > 0:
            return 0
        return math.ceil(self._from - self.now_ms - (self.limit.burst - 1) * self._spacing)

    def after(self, begun: int) -> float:
        """Return ``tat_ms`` once so many jobs have begun; 0: as it counts now, to be kept."""
        return self._from + begun * self._spacing


class LimitBackend(Protocol):
    """The limits of one fleet's queues. Each call is atomic and takes one round trip."""

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Set a limit in the place of the former; one that limits nothing takes it away.

        Claims that begin from then on keep to it; whoever waits for jobs is told.
        """
        ...

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Return the limits of a queue, the queue's own first."""
        ...
