"""``aqe memory``: look into any memory, and change it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.grants import COMMANDS as GRANTS
from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.options import (
    MemoryChoice,
    json_option,
    memory_options,
    show_json,
    standard_input,
)
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.cli.recall import COMMANDS as RECALL
from lionagi_qe.cli.rekey import rekey
from lionagi_qe.cli.transfer import COMMANDS
from lionagi_qe.errors import MemoryMissingError, RevisionConflictError
from lionagi_qe.persistence.values.codec import encode
from lionagi_qe.persistence.values.entry import ttl_if_given
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.cli.progress import Told
    from lionagi_qe.persistence import Entry

_NOT_SO = Exit.GATE_FAILED


@click.group(cls=Group)
def memory() -> None:
    """Look into a memory, and change it.

    Keys start with aqe/. A PREFIX is plain text; a PATTERN knows * (any run), ? (one character),
    [abc], [a-z], [!a] and a backslash before what is meant literally.
    """


@memory.command()
@click.argument("prefix", default="")
@click.option("--partition", help="Only this partition.")
@click.option("--long", "-l", "is_long", is_flag=True, help="Revision, partition and expiry too.")
@json_option
@quiet_option
@memory_options
def ls(
    prefix: str, partition: str | None, choice: MemoryChoice, *, is_long: bool, as_json: bool
) -> None:
    """List the keys that start with PREFIX (all by default), sorted."""
    rows: list[dict[str, Any]] = []

    def keep(entry: Entry) -> None:
        rows.append(_facts(entry))

    take = keep if as_json else _say_long if is_long else None
    with telling("listing entries") as told:
        run_until_told(_ls(prefix, partition, choice, take, told))
    if as_json:
        show_json(rows)


async def _ls(
    prefix: str,
    partition: str | None,
    choice: MemoryChoice,
    take: Callable[[Entry], None] | None,
    told: Told,
) -> None:
    """Hand the entries on; without anybody who takes them, write their keys."""
    async with choice.look() as opened:
        if take is None:
            for key in await opened.list_keys(prefix, partition):
                say(key)
            return
        seen = 0
        async for entry in opened.scan(prefix, partition=partition):
            take(entry)
            seen += 1
            told(seen)


def _say_long(entry: Entry) -> None:
    expiry = f"{entry.expires_at:%Y-%m-%d %H:%M:%S}" if entry.expires_at else "-"
    say(f"{entry.revision:>8}  {entry.partition:<12}  {expiry:<19}  {entry.key}")


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "revision": entry.revision,
        "partition": entry.partition,
        "created_at": entry.created_at.isoformat(),
        "updated_at": entry.updated_at.isoformat(),
        "expires_at": None if entry.expires_at is None else entry.expires_at.isoformat(),
    }


@memory.command()
@click.argument("key")
@json_option
@memory_options
def get(key: str, choice: MemoryChoice, *, as_json: bool) -> int:
    """Write the value under KEY as JSON; with --json, revision, partition and times too.

    Exit code 1 if there is none.
    """
    entry = asyncio.run(_get(key, choice))
    if entry is None:
        say(f"aqe: {key}: no such entry in {choice.shown}", err=True)
        return _NOT_SO
    show_json({**_facts(entry), "value": entry.value} if as_json else entry.value)
    return Exit.PASSED


async def _get(key: str, choice: MemoryChoice) -> Entry | None:
    async with choice.look() as opened:
        return await opened.entry(key)


@memory.command("set")
@click.argument("key")
@click.argument("value")
@click.option("--text", is_flag=True, help="VALUE is plain text, not JSON.")
@click.option(
    "--ttl",
    type=float,
    help="Seconds until it expires; else as default_ttl in the URL says, or never.",
)
@click.option("--partition", default=DEFAULT_PARTITION, show_default=True)
@click.option("--if-revision", type=int, help="Only if it has this revision; 0: only if new.")
@memory_options
def set_(  # noqa: PLR0913, PLR0917 - a command's options
    key: str,
    value: str,
    ttl: float | None,
    partition: str,
    if_revision: int | None,
    choice: MemoryChoice,
    *,
    text: bool,
) -> int:
    """Store VALUE, which is JSON (or - to read it from standard input), under KEY.

    Exit code 1 if --if-revision refuses it.
    """
    given = _read() if value == "-" else value
    parsed = given if text else _parse(given)
    encode(parsed)  # what can't be stored makes no memory

    async def store() -> int:
        opened = choice.look() if if_revision else choice.open()
        try:
            # Opened by the call itself, so that what it refuses makes no memory.
            return await opened.store(
                key, parsed, ttl_if_given(ttl), partition, if_revision=if_revision
            )
        finally:
            await opened.close()

    try:
        revision = asyncio.run(store())
    except (RevisionConflictError, MemoryMissingError) as conflict:
        say(f"aqe: {conflict}", err=True)
        return _NOT_SO
    say(f"{key}: revision {revision}")
    return Exit.PASSED


def _read() -> str:
    try:
        return standard_input().read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"-: standard input is no UTF-8 ({error})") from error


def _parse(given: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        hint = "write --text for plain text, or quote it as JSON: '\"...\"'"
        raise click.UsageError(f"VALUE is no JSON ({error}); {hint}") from error


@memory.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@memory_options
def rm(keys: tuple[str, ...], choice: MemoryChoice) -> int:
    """Remove entries. Exit code 1 if one of them was not there."""

    async def remove() -> int:
        async with choice.look() as opened:
            return await opened.delete_many(keys)

    removed = asyncio.run(remove())
    say(f"removed {removed} of {len(set(keys))}")
    return Exit.PASSED if removed == len(set(keys)) else _NOT_SO


@memory.command()
@click.argument("pattern")
@click.option("--limit", type=int, help="At most so many.")
@click.option("--partition", help="Only this partition.")
@json_option
@quiet_option
@memory_options
def search(
    pattern: str, limit: int | None, partition: str | None, choice: MemoryChoice, *, as_json: bool
) -> None:
    """Write the entries whose keys match PATTERN, one a line: the key, a tab, the value."""

    async def find() -> dict[str, Any]:
        async with choice.look() as opened:
            return await opened.search(pattern, limit, partition)

    with telling("searching entries"):
        found = run_until_told(find())
    if as_json:
        show_json(found)
        return
    for key, value in found.items():
        say(f"{key}\t{json.dumps(value, ensure_ascii=False)}")


@memory.command()
@json_option
@quiet_option
@memory_options
def stats(choice: MemoryChoice, *, as_json: bool) -> None:
    """Count entries, partitions and bytes."""

    async def count() -> dict[str, Any]:
        async with choice.look() as opened:
            return await opened.get_stats()

    with telling("counting entries"):
        counted = run_until_told(count())
    if as_json:
        show_json(counted)
        return
    about = "" if counted["exact"] else " (estimated)"
    say(f"{choice.shown}, fleet {counted['fleet']}")
    say(f"keys     {counted['total_keys']:,}{about}")
    say(f"expired  {counted['total_expired']:,}, not cleaned up yet")
    say(f"bytes    {counted['size_bytes']:,}{about}")
    for name, held in counted["partitions"].items():
        say(f"  {name}: {held:,}")
    for name, figure in counted["server"].items():
        say(f"server   {name} = {figure}")
    for name, figure in counted["pool"].items():
        say(f"pool     {name} = {figure}")


@memory.command()
@click.argument("partition")
@quiet_option
@memory_options
def clear(partition: str, choice: MemoryChoice) -> None:
    """Remove all entries of PARTITION."""

    async def remove() -> int:
        async with choice.look() as opened:
            return await opened.clear_partition(partition)

    with telling("removing entries"):
        removed = run_until_told(remove())
    say(f"removed {removed:,}")


for command in (*COMMANDS, *RECALL, *GRANTS, rekey):
    memory.add_command(command)
