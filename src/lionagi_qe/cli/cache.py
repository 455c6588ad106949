"""``aqe cache``: what is kept in the cache directory, and making room."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.environment.cache_directory import (
    KEPT_BYTES,
    KEPT_SECONDS,
    kept,
    prune,
    root,
)
from lionagi_qe.cli.options import json_option, show_json
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.environment.cache_directory import Kept

_AGE = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(K|M|G|T)?i?B?", re.IGNORECASE)
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def _age(_: click.Context, __: click.Parameter, text: str) -> float:
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no age; write 30d, 12h, 90m or 0s")
    return float(match[1]) * _SECONDS[match[2]]


def _amount(_: click.Context, __: click.Parameter, text: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write bytes, or 500M, 2G")
    return int(float(match[1]) * _BYTES[(match[2] or "").upper()])


@click.group()
def cache() -> None:
    """Look at what aqe keeps between runs, and make room.

    Environments, tools, and what is known of code that did not change. All of it is made again
    when it is needed. Wheels are in the caches of uv and pip, which have commands of their own.
    """


@cache.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List what is kept, the least recently used first."""
    found = kept()
    if as_json:
        show_json([_as_data(each) for each in found])
        return
    for each in found:
        say(_line(each))
    say(f"{_shown(sum(each.size for each in found))} in {root()}")


@cache.command("prune")
@click.option(
    "--older-than",
    "unused",
    default=f"{KEPT_SECONDS / _SECONDS['d']:g}d",
    show_default=True,
    callback=_age,
    metavar="AGE",
    help="Delete what was not used for so long: 7d, 12h; 0s for all.",
)
@click.option(
    "--limit",
    "most",
    default=f"{KEPT_BYTES / _BYTES['G']:g}G",
    show_default=True,
    callback=_amount,
    metavar="SIZE",
    help="Then the least recently used, until the rest has at most this size: 500M, 2G.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing, show what would be deleted.")
@json_option
def prune_(*, unused: float, most: int, dry_run: bool, as_json: bool) -> None:
    """Delete what nobody has used for long; what a run uses at the moment stays."""
    deleted = prune(kept(), unused=unused, most=most, only_told=dry_run)
    if as_json:
        show_json([_as_data(each) for each in deleted])
        return
    for each in deleted:
        say(_line(each))
    _sum(deleted, "would be deleted" if dry_run else "deleted")


def _sum(deleted: Sequence[Kept], what: str) -> None:
    say(f"{_shown(sum(each.size for each in deleted))} {what}")


def _line(each: Kept) -> str:
    used = datetime.fromtimestamp(each.used, UTC)
    return f"{_shown(each.size):>10}  {used:%Y-%m-%d %H:%M}  {each.kind:<11}  {each.of}"


def _shown(size: int) -> str:
    for unit in ("T", "G", "M", "K"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.1f} {unit}iB"
    return f"{size} B"


def _as_data(each: Kept) -> dict[str, Any]:
    return asdict(each) | {"paths": [str(path) for path in each.paths]}
