"""Progress on stderr: one live line on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from itertools import count
from typing import IO, TYPE_CHECKING, TextIO, cast

import click

from lionagi_qe.cli.ending import Unheard
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from click._termui_impl import ProgressBar
    from rich.console import Console

    from lionagi_qe.agents.base import Progress, Step


@contextmanager
def showing(*, quiet: bool) -> Generator[Progress]:
    """Yield what agents report their progress to."""
    if quiet:
        yield _nothing
        return
    from rich.markup import escape

    console = stderr_console()
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda step: status.update(escape(visible(_line(step))))
    else:
        yield _Lines(console)


def lines(*, quiet: bool) -> Progress:
    """Return what writes a line a step, on a terminal too."""
    return _nothing if quiet else _Lines(stderr_console())


def stderr_console() -> Console:
    """Return a console on standard error that outlives whoever reads it."""
    # Not before it is used: rich takes longer to import than a quiet command to begin.
    from rich.console import Console

    return Console(file=cast("IO[str]", Unheard(sys.stderr)), emoji=False)


@contextmanager
def counting_bar(what: str, total: int | None) -> Generator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr, nothing elsewhere; yield what moves it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # click's: who has the memory alone has no rich.
    bar: ProgressBar[int] = click.progressbar(
        count() if total is None else None,
        length=total,
        label=what,
        show_pos=True,
        file=cast("TextIO", Unheard(sys.stderr)),
    )
    with bar:
        yield lambda done: bar.update(done - bar.pos)


def _nothing(step: Step) -> None:
    del step


class _Lines:
    """Writes each new step once; counts would fill a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def __call__(self, step: Step) -> None:
        line = visible(f"{step.agent}: {step.text}")
        if line != self._last:
            from rich.markup import escape

            self._last = line
            self._console.print(escape(line), soft_wrap=True, highlight=False)


def _line(step: Step) -> str:
    counts = "" if step.total is None else f" {step.done}/{step.total}"
    return f"{step.agent}: {step.text}{counts}"
