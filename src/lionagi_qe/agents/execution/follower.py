"""Reads what a session tells while it runs: shows progress, and ends a test that takes too long."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Step
from lionagi_qe.agents.environment.process import queued_seconds
from lionagi_qe.agents.execution.outcomes import read_event
from lionagi_qe.agents.execution.pytest_session import leaving_file

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.base import Examination, Progress

_FIRST_SHARE = 1 / 3
_FIRST_SECONDS = 200.0
# No test runs meanwhile that could be ended, and most suites are collected in seconds.
_COLLECTION_SECONDS = 600.0
_TIMES_THE_SLOWEST = 10
_LEAST_SECONDS = 30.0
# An error in the test comes first, since all else can go on then.
_GRACE_SECONDS = 3.0
# For a process that is given little of the processor to write its stacks.
_STACKS_SECONDS = 5.0
# For what ends with a session: teardown of its fixtures, coverage's data and report.
_ENDING_SECONDS = 10.0
# Of a process whose tests, fixtures and report have ended: for handlers of atexit and its memory.
_LEAVING_SECONDS = 30.0


def test_limit(examination: Examination, timeout: float) -> float:
    """Return the most seconds that one test may take; see ``Settings.test_timeout``.

    Args:
        examination: of the project.
        timeout: of the whole test run, in seconds.

    """
    own, slowest = examination.settings.test_timeout, examination.history.slowest
    if own is not None:
        return own
    if slowest is None:
        return min(timeout * _FIRST_SHARE, _FIRST_SECONDS)
    return max(_TIMES_THE_SLOWEST * slowest, _LEAST_SECONDS)


class Follower:
    """Follows one session of pytest by the record that its plugin writes.

    A test that runs longer than it may gets an error raised in it by a signal; if it still runs
    after that, the process is made to show its stacks and is killed, as it is where the
    tests are not collected in time.

    Args:
        agent: in whose name progress is told.
        record: what the plugin writes.
        stacks: where the process writes its stacks, once it is made to.
        progress: is told how many tests have ended.
        limit: most seconds of one test.
        timeout: most seconds of collecting the tests, and again of running them; a little before
            they have passed, the session is asked to end. What Python and pytest need to start is
            not counted, nor what its process waits for a processor: on a busy machine that may be
            more than the tests take.
        until: when the session is killed in any case, on the clock of ``time.monotonic``.
        collection: most seconds until the tests are collected.
        leaving: most seconds that the process takes to end after all else.
        ending: seconds that it has at least to end after it was asked to, without those in which it
            had to wait for a processor.

    """

    def __init__(  # noqa: PLR0913, PLR0917 - that is what there is to know
        self,
        agent: str,
        record: Path,
        stacks: Path,
        progress: Progress,
        limit: float,
        timeout: float,
        until: float,
        collection: float = _COLLECTION_SECONDS,
        leaving: float = _LEAVING_SECONDS,
        ending: float = _ENDING_SECONDS,
    ) -> None:
        self._agent = agent
        self._record = record
        self._stacks = stacks
        self._progress = progress
        self._limit = limit
        self._collection = collection
        self._offset = 0
        self._done = 0
        self._total: int | None = None
        self._process: int | None = None
        self._began: float | None = None
        self._signalled: float | None = None
        self._shown = False
        self._shown_at = 0.0
        # Bytes of the stacks before they were asked for, and at the last look.
        self._stacks_before = self._stacks_seen = 0
        self._timeout, self._until = timeout, until
        self._since = time.monotonic()
        self._asked_at: float | None = None
        # Seconds for which the process had waited for a processor when these were set.
        self._queued_before = self._queued_when_asked = 0.0
        self._leaving_file = leaving_file(record)
        self._leaving, self._ending = leaving, ending
        self._left_at: float | None = None
        self._stays: tuple[str, float] | None = None

    @property
    def stays(self) -> tuple[str, float] | None:
        """What kept the process from ending, "" if that is unknown, and for how many seconds.

        None where it ended by itself.
        """
        return self._stays

    @property
    def has_killed(self) -> bool:
        """Whether the last test had to be killed together with the session's process."""
        return self._shown

    def look(self) -> str | None:
        """Read what is new, tell it, and see to a test that is overdue.

        Returns:
            Why the session has to be stopped, if so.

        """
        if self._record.exists():
            self._read()
        now = time.monotonic()
        if self._process is None:
            return None
        if self._leaving_file.exists():
            self._mind_end(self._process, now)
            return None
        self._left_at = None
        # To have to wait for a processor is not the session's doing.
        ends = self._since + self._timeout + queued_seconds(self._process) - self._queued_before
        if self._asked_at is not None:
            waited = queued_seconds(self._process) - self._queued_when_asked
            if now > ends and now - waited > self._asked_at + self._ending:
                return f"it ran longer than {self._timeout:g} s"
        elif now > min(ends, self._until) - min(_ENDING_SECONDS, self._timeout / 4):
            self._asked_at = now
            self._queued_when_asked = queued_seconds(self._process)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGRTMIN + 13)
            return None
        if self._began is not None:
            limit = self._collection if self._total is None else self._limit
            self._mind(self._process, now, self._began, limit)
        return None

    def _mind_end(self, process: int, now: float) -> None:
        """End a process that has nothing more to do, and waits for threads or others."""
        if self._left_at is None:
            self._left_at = now
        elif now - self._left_at > self._leaving and self._stays is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                told = self._leaving_file.read_text(encoding="utf-8")
                self._stays = told, now - self._left_at

    def _read(self) -> None:
        with self._record.open("rb") as file:
            file.seek(self._offset)
            news = file.read()
        news = news[: news.rfind(b"\n") + 1]
        self._offset += len(news)
        for line in news.splitlines():
            event = read_event(line)
            match event["event"]:
                case "listening":
                    self._process = event["pid"]
                    self._began = self._since = time.monotonic()
                    self._queued_before = queued_seconds(event["pid"])
                case "collected":
                    self._since = time.monotonic()
                    self._queued_before = queued_seconds(self._process or 0)
                    self._total = len(event["ids"])
                    self._began = None
                case "start":
                    self._began, self._signalled = time.monotonic(), None
                    self._shown = False
                case "finish":
                    self._done += 1
                    self._began = None
                case _:
                    pass
        if news:
            self._progress(Step(self._agent, "running tests", self._done, self._total))

    def _mind(self, process: int, now: float, began: float, limit: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._signalled is None:
                if now - began > limit:
                    self._signalled = now
                    os.kill(process, signal.SIGRTMIN + 11)
            elif self._shown:
                if self._stacks_ended(now):
                    os.kill(process, signal.SIGKILL)
            elif now - self._signalled > _GRACE_SECONDS:
                self._shown, self._shown_at = True, now
                self._stacks_before = self._stacks_seen = _size(self._stacks)
                os.kill(process, signal.SIGRTMIN + 12)

    def _stacks_ended(self, now: float) -> bool:
        """Return whether the stacks are written: more came, and none since the last look."""
        before, self._stacks_seen = self._stacks_seen, _size(self._stacks)
        written = self._stacks_seen > self._stacks_before
        return (written and self._stacks_seen == before) or now - self._shown_at > _STACKS_SECONDS


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
