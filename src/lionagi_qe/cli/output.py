"""What commands write: text of others can't command the terminal or the CI server that shows it."""

from __future__ import annotations

import logging

import click

from lionagi_qe.cli.status_line import above_status_line
from lionagi_qe.display import visible


def say(text: str = "", *, err: bool = False) -> None:
    """Write lines on standard output, or on standard error."""
    with above_status_line():
        click.echo(visible(text), err=err)


class _ToStandardError(logging.Handler):
    """What logging does where nobody set it up, so."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say(self.format(record), err=True)
        except Exception:  # noqa: BLE001 - as of every handler
            self.handleError(record)


def show_logs() -> None:
    """Have warnings that are logged, tracebacks with them, written on standard error so, too."""
    handler = _ToStandardError(logging.WARNING)
    handler.setFormatter(logging.Formatter())
    logging.lastResort = handler
