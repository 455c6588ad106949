"""``aqe cache``: what is kept in the cache directory, and making room."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.environment.cache_directory import (
    IN_USE,
    KEPT_BYTES,
    KEPT_SECONDS,
    kept,
    prune,
    root,
)
from lionagi_qe.agents.environment.wheel_caches import wheel_caches
from lionagi_qe.cli.ages import SECONDS, age
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.options import json_option, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.agents.environment.cache_directory import Kept

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(K|M|G|T)?i?B?", re.IGNORECASE)
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def _amount(_: click.Context, __: click.Parameter, text: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write bytes, or 500M, 2G")
    return int(float(match[1]) * _BYTES[(match[2] or "").upper()])


@click.group(cls=Group)
def cache() -> None:
    """Look at what aqe keeps between runs, and make room.

    Environments, tools, and what is known of code that did not change. All of it is made again
    when it is needed. Wheels are in the caches of uv and pip, which have commands of their own.
    """


@cache.command("list")
@json_option
@quiet_option
def list_(*, as_json: bool) -> None:
    """List what is kept, the least recently used first, and how much the installers keep."""
    with telling("measuring what is kept"):
        found, wheels = kept(), wheel_caches()
    if as_json:
        show_json(
            {
                "path": str(root()),
                "bytes": _size(found),
                "kept": [_as_data(each) for each in found],
                "wheels": [asdict(each) | {"path": str(each.path)} for each in wheels],
            }
        )
        return
    for each in found:
        say(_line(each))
    say(f"{_shown(_size(found))} in {root()}")
    for each in wheels:
        say(f"{_shown(each.size)} of {each.installer}'s in {each.path}: {each.prune} makes room")


@cache.command("prune")
@click.option(
    "--older-than",
    "unused",
    default=f"{KEPT_SECONDS / SECONDS['d']:g}d",
    show_default=True,
    callback=age,
    metavar="AGE",
    help="Delete what was not used for so long: 7d, 12h.",
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
@click.option("--all", "everything", is_flag=True, help="Delete all that is not in use.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, show what would be deleted.")
@json_option
@quiet_option
def prune_(*, unused: float, most: int, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Delete what nobody has used for long; what a run uses at the moment stays.

    Ends with 3 where something can't be deleted.
    """
    with telling("deleting what nobody uses"):
        pruned = prune(kept(), unused=-1.0 if everything else unused, most=most, only_told=dry_run)
    if as_json:
        show_json(
            {
                "dry_run": dry_run,
                "bytes": _size(pruned.deleted),
                "deleted": [_as_data(each) for each in pruned.deleted],
                "left": [_as_data(each) | {"why": why} for each, why in pruned.left],
            }
        )
    else:
        for each in pruned.deleted:
            say(_line(each))
        done = "would be deleted" if dry_run else "deleted"
        say(f"{_shown(_size(pruned.deleted))} {done}")
    for each, why in pruned.left:
        say(f"{each.paths[0]} stays: it {why}", err=True)
    if any(why != IN_USE for _, why in pruned.left):
        raise click.exceptions.Exit(Exit.INFRASTRUCTURE)


def _line(each: Kept) -> str:
    unused = max(time.time() - each.used, 0.0)
    return f"{_shown(each.size):>10}  {_shown_age(unused):>8}  {each.kind:<11}  {each.of}"


def _shown_age(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds >= SECONDS[unit]:
            return f"{seconds / SECONDS[unit]:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(entries: Iterable[Kept]) -> int:
    return sum(each.size for each in entries)


def _shown(size: int) -> str:
    for unit in ("T", "G", "M", "K"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.1f} {unit}iB"
    return f"{size} B"


def _as_data(each: Kept) -> dict[str, Any]:
    used = datetime.fromtimestamp(each.used, UTC).isoformat(timespec="seconds")
    return asdict(each) | {"paths": [str(path) for path in each.paths], "used": used}
