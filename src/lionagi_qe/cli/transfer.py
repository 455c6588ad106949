"""``aqe memory copy|export|import|verify|watch``: move memories, compare them, follow one."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import (
    MemoryChoice,
    fleet_option,
    json_option,
    memory_options,
    show_json,
    standard_input,
    standard_output,
)
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.cli.queue import count_queues
from lionagi_qe.errors import MemoryMissingError
from lionagi_qe.persistence import transfer
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from lionagi_qe.cli.progress import Told
    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.watch import Change

_pattern = click.option("--pattern", default="*", show_default=True, help="Only keys that match.")
_partition = click.option("--partition", help="Only this partition.")
_on_conflict = click.option(
    "--on-conflict",
    type=click.Choice(["skip", "overwrite", "newer", "fail"]),
    default="skip",
    show_default=True,
    help="What becomes of an entry that the target has too.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Only tell what would be stored.")
_checkpoint = click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False),
    help="Keep in this file where to go on, should it be killed; call it again the same way.",
)
_PIPE = "-"


@click.command()
@click.argument("source", metavar="SOURCE_URL")
@click.argument("target", metavar="TARGET_URL")
@fleet_option
@click.option("--to-fleet", help="The fleet in the target; that of the source by default.")
@_pattern
@_partition
@_on_conflict
@_dry_run
@_checkpoint
@quiet_option
def copy(  # noqa: PLR0913, PLR0917 - a command's options
    source: str,
    target: str,
    fleet: str,
    to_fleet: str | None,
    pattern: str,
    partition: str | None,
    on_conflict: transfer.Policy,
    checkpoint: str | None,
    *,
    dry_run: bool,
) -> None:
    """Copy entries between any two memories, in the order of their changes.

    Partition and expiry go along. Made for a source at rest.
    """

    async def run(told: Told) -> transfer.Tally:
        async with (
            MemoryChoice(source, fleet).look() as a,
            _target(MemoryChoice(target, to_fleet or fleet), dry_run=dry_run) as b,
        ):
            await _tell_what_stays(a)
            total = await _count(a, pattern, partition)
            return await transfer.copy(
                a,
                b,
                pattern=pattern,
                partition=partition,
                on_conflict=on_conflict,
                dry_run=dry_run,
                checkpoint=checkpoint,
                progress=lambda tally: told(tally.read, total),
            )

    with telling("copying entries") as told:
        tally = run_until_told(run(told))
    _tell(tally, dry_run=dry_run)


@click.command("export")
@click.argument("path", type=click.Path(dir_okay=False, allow_dash=True))
@_pattern
@_partition
@click.option("--in-clear", is_flag=True, help="Write the values of an encrypted memory in clear.")
@quiet_option
@memory_options
def export_(
    path: str, pattern: str, partition: str | None, choice: MemoryChoice, *, in_clear: bool
) -> None:
    """Write entries to PATH as JSON lines; .gz and .zst at its end compress it.

    Values of a memory with keys are sealed in the file, too.

    The file appears when it is whole, and tells number and digest of its entries at the end. With -
    it is written to standard output then.
    """

    async def run(file: transfer.File, told: Told) -> transfer.Tally:
        async with choice.look() as memory:
            await _tell_what_stays(memory)
            total = await _count(memory, pattern, partition)
            return await transfer.export(
                memory,
                file,
                pattern=pattern,
                partition=partition,
                progress=lambda tally: told(tally.read, total),
                in_clear=in_clear,
            )

    with telling("exporting entries") as told, _written(path) as file:
        tally = run_until_told(run(file, told))
    written = f"{tally.stored:,} entries, {tally.payload_bytes:,} bytes of values"
    tell = mention if path == _PIPE else say
    tell(f"{path}: {written}")


@click.command("import")
@click.argument("path", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
@_pattern
@_partition
@_on_conflict
@_dry_run
@_checkpoint
@click.option(
    "--max-entries", type=click.IntRange(min=1), help="Refuse a file once it has more entries."
)
@click.option(
    "--max-expansion",
    type=click.IntRange(min=1),
    default=transfer.Limits().expansion,
    show_default=True,
    help="Refuse a file of more than 64 MiB of text that is so many times its compressed size.",
)
@quiet_option
@memory_options
def import_(  # noqa: PLR0913, PLR0917 - a command's options
    path: str,
    pattern: str,
    partition: str | None,
    on_conflict: transfer.Policy,
    checkpoint: str | None,
    max_entries: int | None,
    max_expansion: int,
    choice: MemoryChoice,
    *,
    dry_run: bool,
) -> None:
    """Store the entries of an exported file; those whose time is over are left out.

    What a file from elsewhere may take is bounded, and errors say in which line and byte it is
    wrong, and what was stored before; --dry-run looks through all of it. A sealed file needs a
    memory whose keys open it. With - the entries come
    from standard input, which is read to its end first.
    """
    if path == _PIPE and checkpoint is not None:
        raise click.UsageError("--checkpoint: standard input can't be read again; name a file")

    async def run(file: transfer.File, told: Told) -> transfer.Tally:
        async with _target(choice, dry_run=dry_run) as memory:
            return await transfer.restore(
                file,
                memory,
                pattern=pattern,
                partition=partition,
                on_conflict=on_conflict,
                dry_run=dry_run,
                checkpoint=checkpoint,
                progress=lambda tally: told(tally.read),
                limits=transfer.Limits(expansion=max_expansion, entries=max_entries),
            )

    with telling("importing entries") as told, _readable(path) as file:
        tally = run_until_told(run(file, told))
    _tell(tally, dry_run=dry_run)


@click.command("verify")
@click.argument("source", metavar="SOURCE_URL")
@click.argument("target", metavar="TARGET_URL")
@fleet_option
@click.option("--to-fleet", help="The fleet in the target; that of the source by default.")
@_pattern
@_partition
@json_option
@quiet_option
def verify_(  # noqa: PLR0913, PLR0917 - a command's options
    source: str,
    target: str,
    fleet: str,
    to_fleet: str | None,
    pattern: str,
    partition: str | None,
    *,
    as_json: bool,
) -> int:
    """Compare two memories entry by entry: keys, values, partitions, times to live.

    Exit code 1 if they differ. Times to live may differ by a second.
    """

    async def run(told: Told) -> transfer.Comparison:
        async with (
            MemoryChoice(source, fleet).look() as a,
            MemoryChoice(target, to_fleet or fleet).look() as b,
        ):
            total = await _count(a, pattern, partition)
            return await transfer.compare(
                a,
                b,
                pattern=pattern,
                partition=partition,
                progress=lambda passed: told(passed, total),
            )

    with telling("comparing entries") as told:
        found = run_until_told(run(told))
    if as_json:
        show_json(
            {
                "equal": found.equal,
                "source": {"entries": found.source.entries, "digest": str(found.source)},
                "target": {"entries": found.target.entries, "digest": str(found.target)},
                "faults": found.faults,
                "first": [{"key": d.key, "fault": d.fault} for d in found.first],
            }
        )
    else:
        _tell_comparison(found, redact(source), redact(target))
    return Exit.PASSED if found.equal else Exit.GATE_FAILED


def _tell_comparison(found: transfer.Comparison, source: str, target: str) -> None:
    for name, digest in ((source, found.source), (target, found.target)):
        say(f"{digest}  {digest.entries:>9,} entries  {name}")
    if found.equal:
        say("equal")
        return
    for difference in found.first:
        say(f"{difference.fault:<9}  {difference.key}")
    counts = ", ".join(f"{count:,} {fault}" for fault, count in sorted(found.faults.items()))
    say(f"different: {counts}")


@click.command()
@click.argument("pattern", default="*")
@click.option("--since", metavar="CURSOR", help='From a cursor on; "start": what is stored first.')
@click.option("--count", type=click.IntRange(min=1), help="End after so many changes.")
@json_option
@memory_options
def watch(
    pattern: str, since: str | None, count: int | None, choice: MemoryChoice, *, as_json: bool
) -> None:
    """Write what is stored, deleted or expires under PATTERN, as it happens, until Ctrl-C.

    With --json a line is an object; its "cursor" can be given to --since.
    """

    async def run() -> None:
        async with choice.look() as memory, memory.watch(pattern, since) as changes:
            seen = 0
            async for change in changes:
                if as_json:
                    say(json.dumps(_facts(change), ensure_ascii=False))
                else:
                    value = json.dumps(change.value, ensure_ascii=False)
                    shown = f"\t{value}" if change.kind == "stored" else ""
                    say(f"{change.kind:<7}  {change.revision:>8}  {change.key}{shown}")
                seen += 1
                if seen == count:
                    return

    run_until_told(run())


def _facts(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "key": change.key,
        "revision": change.revision,
        "value": change.value,
        "cursor": change.cursor,
    }


COMMANDS = (copy, export_, import_, verify_, watch)


async def _count(memory: Memory, pattern: str, partition: str | None) -> int | None:
    """Return how many entries there are, if the pattern means all."""
    if pattern != "*":
        return None
    found = await memory.get_stats()
    return found["total_keys"] if partition is None else found["partitions"].get(partition)


def _tell(tally: transfer.Tally, *, dry_run: bool) -> None:
    verb = "would store" if dry_run else "stored"
    say(
        f"{verb} {tally.stored:,} of {tally.read:,} entries ({tally.payload_bytes:,} bytes of "
        f"values), skipped {tally.skipped:,}, expired {tally.expired:,}"
    )


@contextmanager
def _written(path: str) -> Generator[transfer.File]:
    """Yield what to write to; what is to go through a pipe does once it is whole."""
    if path != _PIPE:
        yield path
        return
    pipe = standard_output()
    with tempfile.TemporaryFile() as whole:
        yield whole
        whole.seek(0)
        shutil.copyfileobj(whole, pipe)


@contextmanager
def _readable(path: str) -> Generator[transfer.File]:
    """Yield what to read from; what comes through a pipe is read to its end first."""
    if path != _PIPE:
        yield path
        return
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(standard_input(), whole)
        whole.seek(0)
        yield whole


@asynccontextmanager
async def _target(choice: MemoryChoice, *, dry_run: bool) -> AsyncGenerator[Memory]:
    """Yield where entries go; whoever only asks what would, makes no memory."""
    memory = choice.look() if dry_run else choice.open()
    try:
        await memory.open()
    except MemoryMissingError:
        if not dry_run:
            raise
        memory = MemoryChoice("memory://", choice.fleet).open()
    try:
        yield memory
    finally:
        await memory.close()


async def _tell_what_stays(memory: Memory) -> None:
    """Tell of queues whose jobs are not done: only entries are copied and exported."""
    counts = await count_queues(memory)
    waiting = [
        name
        for name, found in counts.items()
        if found.ready or found.delayed or found.claimed or found.dead
    ]
    if waiting:
        names = ", ".join(waiting)
        mention(f"note: jobs are not among it: let workers finish those of {names}")
