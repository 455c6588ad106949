"""Ages as options take them: 30d, 12h, 90m, 30s."""

from __future__ import annotations

import re
from typing import overload

import click

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


@overload
def age(_: click.Context, __: click.Parameter, text: str) -> float: ...
@overload
def age(_: click.Context, __: click.Parameter, text: None) -> None: ...
def age(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Return the seconds of an option's age; None if it was left out."""
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no age; write 30d, 12h, 90m or 30s")
    return float(match[1]) * SECONDS[match[2]]
