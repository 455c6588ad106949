"""Periodic jobs after the clock that fired them was far ahead, and is right again."""

from __future__ import annotations

import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence.sqlite import schedules

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
DAY = timedelta(days=1)


async def next_time(queue: WorkQueue) -> datetime:
    """Return the time that the next job of a schedule is for."""
    async with aclosing(queue.consume()) as jobs:
        job = await anext(jobs)
        await job.ack()
        assert job.scheduled_for is not None
        return job.scheduled_for


async def test_a_schedule_goes_on_when_the_clock_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        queue = WorkQueue(memory, "jobs")
        with monkeypatch.context() as wrong:
            tomorrow = DAY // timedelta(milliseconds=1)
            wrong.setattr(schedules, "now", lambda: int(time.time() * 1000) + tomorrow)
            await queue.schedule("tick", cron="* * * * * *")
            assert await next_time(queue) - datetime.now(UTC) > DAY / 2
        # One more may have become due by the wrong clock, before that was right again.
        times = [await next_time(queue) for _ in range(3)]
        assert abs(times[-1] - datetime.now(UTC)) < DAY / 2
