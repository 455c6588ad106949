"""What commands write: text of others can't command the terminal or the CI server that shows it."""

from __future__ import annotations

import logging

import click

from lionagi_qe.display import visible


class _VisibleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def say(text: str = "", *, err: bool = False) -> None:
    """Write lines on standard output, or on standard error."""
    click.echo(visible(text), err=err)


def show_logs() -> None:
    """Have warnings that are logged, tracebacks with them, written on standard error so, too."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_VisibleFormatter())
