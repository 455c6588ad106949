"""Progress on stderr: one live line on a terminal, a line a step elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Generator

    from lionagi_qe.agents.base import Progress, Step


@contextmanager
def showing(*, quiet: bool) -> Generator[Progress]:
    """Yield what agents report their progress to."""
    console = Console(stderr=True, quiet=quiet, emoji=False)
    if console.is_terminal and not quiet:
        with console.status("starting") as status:
            yield lambda step: status.update(escape(_line(step)))
    else:
        yield _Lines(console)


def lines(*, quiet: bool) -> Progress:
    """Return what writes a line a step, on a terminal too."""
    return _Lines(Console(stderr=True, quiet=quiet, emoji=False))


class _Lines:
    """Writes each new step once; counts would fill a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def __call__(self, step: Step) -> None:
        line = f"{step.agent}: {step.text}"
        if line != self._last:
            self._last = line
            self._console.print(escape(line), soft_wrap=True, highlight=False)


def _line(step: Step) -> str:
    counts = "" if step.total is None else f" {step.done}/{step.total}"
    return f"{step.agent}: {step.text}{counts}"
