"""Limits of queues in Redis: fields of a hash beside the queue's jobs, in the same shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.limits import PER, JobLimit
from lionagi_qe.persistence.redis import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.limits import Per
    from lionagi_qe.persistence.redis.session import RedisSession

_NONE = "-"


class RedisLimits:
    """The limits of the backend's fleet."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def put(self, queue: str, limit: JobLimit) -> None:
        """Call the script."""
        await self._run(
            "put",
            queue,
            limit.per,
            limit.concurrency or _NONE,
            limit.rate or _NONE,
            limit.period_ms,
            limit.burst,
        )

    async def read(self, queue: str) -> Sequence[JobLimit]:
        """Call the script."""
        found = await self._run("read", queue, mutates=False)
        return [
            _limit(per, text.decode())
            for per, text in zip(PER, found, strict=True)
            if text is not None
        ]

    async def _run(self, what: str, queue: str, *words: Any, mutates: bool = True) -> Any:  # noqa: ANN401
        shard = self._session.shards.of(queue)
        return await self._session.run(
            scripts.QUEUE_LIMIT, shard, what, queue, *words, mutates=mutates
        )


def _limit(per: Per, text: str) -> JobLimit:
    concurrency, rate, period_ms, burst = (
        None if word == _NONE else int(word) for word in text.split()
    )
    return JobLimit(per, concurrency, rate, period_ms or 0, burst or 0)
