"""Taking jobs from a queue for as long as the worker lives."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    AccessDeniedError,
    AqeError,
    BackendUnavailableError,
    InvalidValueError,
    JobLostError,
)
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from signal import Signals

    from lionagi_qe.coordination.job import Job

    # How many, and whether to go on waiting; returns jobs, or none when it needn't wait any more.
    Claim = Callable[[int, Callable[[], bool]], Awaitable[list[Job]]]

# Extensions a lease: two may be lost before the job is.
_EXTENSIONS = 3
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_log = logging.getLogger(__name__)


class Consumer:
    """Hands out jobs, at most ``concurrency`` at once, and extends their leases until they end.

    Args:
        claim: claims jobs, waiting for them.
        wake: ends the waiting of ``claim``.
        concurrency: most jobs that are neither ended nor lost.
        lease_ttl: seconds of a lease; extended after a third of it.
        grace: seconds that jobs in hand may take after ``stop``; then they are given back.
    """

    def __init__(
        self,
        claim: Claim,
        wake: Callable[[], None],
        *,
        concurrency: int,
        lease_ttl: float,
        grace: float,
    ) -> None:
        self._claim = claim
        self._wake = wake
        self._concurrency = concurrency
        self._lease_ttl = lease_ttl
        self._grace = grace
        self._stopping = False
        self._held: dict[str, Job] = {}
        self._freed = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; give back what was not handed out, let the rest end."""
        self._stopping = True
        self._freed.set()
        self._wake()

    async def jobs(self, signals: Iterable[Signals]) -> AsyncGenerator[Job]:
        """Yield jobs until ``stop`` is called, or one of ``signals`` comes."""
        loop = asyncio.get_running_loop()
        handled = list(signals)
        for signal in handled:
            loop.add_signal_handler(signal, self.stop)
        extending = asyncio.create_task(self._extend(), name="extend jobs")
        fresh: deque[Job] = deque()
        try:
            while not self._stopping:
                fresh.extend(await self._take())
                while fresh and not self._stopping:
                    yield fresh.popleft()
            await give_back(fresh)
            await self._drain()
        finally:
            for signal in handled:
                loop.remove_signal_handler(signal)
            extending.cancel()
            # The loop over us was left early.
            await give_back(fresh)

    async def _take(self) -> list[Job]:
        """Claim as many jobs as there is room for, once there is some."""
        pause = _FIRST_PAUSE
        while not self._stopping:
            self._freed.clear()
            room = self._concurrency - len(self._held)
            if room <= 0:
                await self._freed.wait()
                continue
            try:
                jobs = await self._claim(room, lambda: not self._stopping)
            except BackendUnavailableError as error:
                if isinstance(error, AccessDeniedError):
                    raise
                _log.warning("no jobs for now: %s", error, extra=log_fields(error=error))
                await self._rest(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            for job in jobs:
                self._held[job.id] = job
                job.watch(self._free)
            return jobs
        return []

    async def _rest(self, seconds: float) -> None:
        """Wait, but no longer than until the next change of what is held, or ``stop``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._freed.wait()

    def _free(self, job: Job) -> None:
        if self._held.get(job.id) is job:
            del self._held[job.id]
        self._freed.set()

    async def _drain(self) -> None:
        """Wait for the jobs in hand; what isn't done in time is given back."""
        try:
            async with asyncio.timeout(self._grace):
                while self._held:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            late = list(self._held.values())
            _log.warning("%d jobs were not done %s s after the stop", len(late), self._grace)
            await give_back(late)

    async def _extend(self) -> None:
        pause = self._lease_ttl / _EXTENSIONS
        while True:
            await asyncio.sleep(pause)
            pause = self._lease_ttl / _EXTENSIONS
            jobs = list(self._held.values())
            answers = await asyncio.gather(
                *(job.extend(self._lease_ttl) for job in jobs), return_exceptions=True
            )
            for job, answer in zip(jobs, answers, strict=True):
                if answer is None or job.ended or job.lost:
                    continue
                pause = self._lease_ttl / _EXTENSIONS**2
                _log.warning(
                    "the lease of %r could not be extended yet: %s",
                    job,
                    answer,
                    extra=job.log_fields(answer),
                )


async def give_back(jobs: Iterable[Job]) -> None:
    """Let others have the jobs at once, as if they had not been claimed, where they are ours."""
    await asyncio.gather(*(_recall(job) for job in jobs if not (job.ended or job.lost)))


async def _recall(job: Job) -> None:
    try:
        await job.recall()
    except AqeError as error:
        _log.warning(
            "%r returns only when its lease ends: %s", job, error, extra=job.log_fields(error)
        )


async def handle(
    job: Job, handler: Callable[[Job], Awaitable[Any]], job_timeout: float | None = None
) -> None:
    """Do a job: done with what ``handler`` returns, failed by what it raises.

    It fails as well if the handler takes longer than ``job_timeout`` seconds.

    It is cancelled when the job is lost, or is to be cancelled; when we are cancelled, the job is
    given back.
    """
    task = asyncio.current_task()

    def cancel(_: Job) -> None:
        if job.lost and task is not None:
            task.cancel()

    job.watch(cancel)
    try:
        with job.processing():
            await _do(job, handler, job_timeout)
    except asyncio.CancelledError:
        if not (job.lost or job.cancelling):
            raise
        what = "lost" if job.lost else "cancelled"
        _log.warning("%r was %s while it was worked at", job, what, extra=job.log_fields())
    except JobLostError as error:
        _log.warning("too late: %s", error, extra=job.log_fields(error))
    except AqeError as error:
        _log.warning("%r returns when its lease ends: %s", job, error, extra=job.log_fields(error))
        job.give_up()


async def _do(
    job: Job, handler: Callable[[Job], Awaitable[Any]], job_timeout: float | None
) -> None:
    task = asyncio.current_task()
    try:
        # Only what the handler does: what it came to is told in any case.
        with job.when_cancelling(lambda: task and task.cancel()):
            result = await _result_of(job, handler, job_timeout)
        if not job.ended:
            await job.ack(result)
    except asyncio.CancelledError as error:
        if not _is_cancelled():
            # A task of the handler's was cancelled, which asked nothing of us.
            await _fail(job, error)
            return
        if not (job.ended or job.lost):
            # Given back or, if that was asked for, cancelled.
            await job.release()
        raise
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except JobLostError as error:
        if job.lost:
            raise
        # Another job's, that the handler had claimed itself.
        await _fail(job, error)
    except BackendUnavailableError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its job's error
        await _fail(job, error)


async def _result_of(
    job: Job, handler: Callable[[Job], Awaitable[Any]], job_timeout: float | None
) -> Any:  # noqa: ANN401 - what the handler returns
    limit = asyncio.timeout(job_timeout)
    try:
        async with limit:
            answer: Any = handler(job)
            # A plain function has done the job by now: it must not be done again for that.
            return await answer if inspect.isawaitable(answer) else answer
    except TimeoutError as error:
        if not limit.expired():
            raise
        msg = f"it took longer than its worker's job_timeout, {job_timeout:g} s"
        raise TimeoutError(msg) from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _fail(job: Job, error: BaseException) -> None:
    _log.warning("%r failed", job, exc_info=error, extra=job.log_fields(error))
    if not (job.ended or job.lost):
        # A result that can't be stored won't get better by trying again.
        await job.fail(error, retry=not isinstance(error, InvalidValueError))
