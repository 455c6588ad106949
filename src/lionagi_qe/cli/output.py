"""What commands write: text of others can't command the terminal or the CI server that shows it."""

from __future__ import annotations

import click

from lionagi_qe.display import visible


def say(text: str = "", *, err: bool = False) -> None:
    """Write lines on standard output, or on standard error."""
    click.echo(visible(text), err=err)
