"""What long commands tell while they work, in one form, on standard error alone.

What is being done, and how far: ``copying entries, 12,000 of 50,000 (24 %), about 8 s left``; where
nobody knows how many there are, ``importing entries, 12,000, 8,200 a second``; where nothing can be
counted, for how long: ``fleet: installing requirements, 12 s``. On a terminal it is one line, which
is gone in the end; elsewhere (a file, a CI server) a line each half minute, and one for each new
step of a run. ``--quiet`` has nothing told.

The memory's own commands have no rich, and click's bar has another form where the number is unknown
and none where nothing can be counted.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, cast

import click

from lionagi_qe.cli.ending import Unheard, mention
from lionagi_qe.cli.status_line import StatusLine, has_status_line
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lionagi_qe.agents.base import Progress, Step

_QUIET = f"{__name__}.quiet"
# A call that is over sooner shows nothing, so that nothing flickers.
PATIENCE_SECONDS = 1.0
_INTERVAL_SECONDS = 30.0
_TICK_SECONDS = 0.1
# Before that, a rate is a guess.
_RATE_SECONDS = 3.0
_MINUTE, _HOUR = 60, 3600


def quiet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet, which ``telling``, ``showing`` and ``lines`` find by themselves."""

    def note(context: click.Context, _: click.Parameter, quiet: bool) -> None:  # noqa: FBT001 - click's
        context.meta[_QUIET] = quiet

    return click.option(
        "--quiet",
        "-q",
        is_flag=True,
        expose_value=False,
        callback=note,
        help="Show no progress.",
    )(command)


class Told(Protocol):
    """Takes how many are done, and of how many if that is known; costs no output."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note it."""
        ...


@contextmanager
def telling(doing: str) -> Generator[Told]:
    """Tell of one thing that may take long, in words as ``copying entries``; yield what counts."""
    if _is_quiet():
        yield _uncounted
        return
    teller = _Teller(at_once=False)
    # Before it begins to tell, so that it has something to.
    teller.note("", doing)
    with teller:

        def told(done: int, total: int | None = None) -> None:
            teller.note("", doing, done, total)

        yield told


@contextmanager
def showing() -> Generator[Progress]:
    """Yield what agents report their progress to."""
    if _is_quiet():
        yield _nothing
        return
    with _Teller(at_once=True) as teller:
        yield lambda step: teller.note(step.agent, _named(step), step.done, step.total)


def lines() -> Progress:
    """Return what writes a line a step, on a terminal too: for what works until it is told."""
    if _is_quiet():
        return _nothing
    plain = _NewSteps()

    def tell(step: Step) -> None:
        plain.note(step.agent, _named(step))

    return tell


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def _nothing(step: Step) -> None:
    del step


def _uncounted(done: int, total: int | None = None) -> None:
    del done, total


def _named(step: Step) -> str:
    # Names of files may hold line feeds.
    return f"{step.agent}: {step.text}".replace("\n", r"\u000a")


class _NewSteps:
    """Writes each new step of each agent once; counts would fill a log."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def note(self, agent: str, doing: str) -> bool:
        """Write a step unless it is the agent's last; return whether it was new."""
        is_new = self._last.get(agent) != doing
        if is_new:
            self._last[agent] = doing
            mention(doing)
        return is_new


@dataclass(slots=True)
class State:
    """What is being done, since when, and how far it is."""

    doing: str
    since: float
    done: int | None = None
    total: int | None = None
    # How far it was at first, for the rate.
    begun: int = 0

    def count(self, done: int, total: int | None, now: float) -> None:
        """Take a count; one below the last is of another round."""
        if self.done is None or done < self.done:
            self.begun, self.since = done, now
        self.done, self.total = done, self.total if total is None else total

    def text(self, now: float) -> str:
        """Return it as it is told."""
        seconds = now - self.since
        if self.done is None:
            return self.doing if seconds < 1 else f"{self.doing}, {_span(seconds)}"
        rate = (self.done - self.begun) / seconds if seconds >= _RATE_SECONDS else 0.0
        # An estimated total may be less than there are: then it says nothing.
        if self.total is None or not 0 <= self.done <= self.total:
            speed = f", {rate:,.0f} a second" if rate >= 1 else ""
            return f"{self.doing}, {self.done:,}{speed}"
        share = f" ({self.done / self.total:.0%})".replace("%", " %") if self.total else ""
        missing = self.total - self.done
        left = f", about {_span(missing / rate)} left" if rate and missing else ""
        return f"{self.doing}, {self.done:,} of {self.total:,}{share}{left}"


class _Teller:
    """Tells what is noted, by a thread: also while something keeps the command's own busy."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._patience = 0.0 if at_once else PATIENCE_SECONDS
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}
        self._latest: State | None = None
        self._plain = None if has_status_line() else _NewSteps()
        self._last_line = self._began
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __enter__(self) -> Self:
        """Begin to tell."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, however the work did; a terminal's line is gone before anything else is told."""
        self._ended.set()
        self._thread.join()

    def note(
        self, agent: str, doing: str, done: int | None = None, total: int | None = None
    ) -> None:
        """Note what is being done, and how far it is."""
        with self._lock:
            state = self._states.get(agent)
            if state is None or state.doing != doing:
                state = self._states[agent] = State(doing, time.monotonic())
            if done is not None:
                state.count(done, total, time.monotonic())
            self._latest = state
        if self._plain is not None and self._at_once and self._plain.note(agent, doing):
            self._last_line = time.monotonic()

    def _tell(self) -> None:
        if self._plain is not None:
            while not self._ended.wait(_TICK_SECONDS * 5):
                now = time.monotonic()
                if now - self._last_line >= _INTERVAL_SECONDS:
                    self._last_line = now
                    mention(self._text(now))
            return
        with StatusLine(cast("IO[str]", Unheard(sys.stderr))) as line:
            if self._patience and self._ended.wait(self._patience):
                return
            is_over = False
            while not is_over:
                line.show(visible(self._text(time.monotonic())))
                is_over = self._ended.wait(_TICK_SECONDS)

    def _text(self, now: float) -> str:
        with self._lock:
            return "starting" if self._latest is None else self._latest.text(now)


def _span(seconds: float) -> str:
    """Return a time as people say it."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
