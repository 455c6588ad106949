"""``aqe queue batches|batch|cancel-batch``: jobs that were put as one, and how far they are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import mention
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.one_queue import with_queue
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.errors import JobNotFoundError

if TYPE_CHECKING:
    from lionagi_qe.coordination import BatchProgress, WorkQueue


@click.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most.")
@click.option("--after", default="", metavar="ID", help="Go on behind this batch.")
@json_option
@memory_options
def batches(name: str, limit: int, after: str, choice: MemoryChoice, *, as_json: bool) -> None:
    """List the batches of queue NAME, the newest first: id, callback's state, ended of all jobs."""
    found: list[BatchProgress] = with_queue(
        choice, name, lambda queue: queue.batches(limit, after), about_jobs=False
    )
    if as_json:
        show_json([_shown(each) for each in found])
        return
    for each in found:
        say(f"{each.id}\t{each.state}\t{_told(each)}")


@click.command()
@click.argument("name")
@click.argument("batch_id", metavar="ID")
@json_option
@memory_options
def batch(name: str, batch_id: str, choice: MemoryChoice, *, as_json: bool) -> int:
    """Show how batch ID of queue NAME stands. Exit code 1 if there is none."""
    found = _asked(choice, name, batch_id, cancel=False)
    if found is None:
        return Exit.GATE_FAILED
    if as_json:
        show_json(_shown(found))
        return Exit.PASSED
    for what, value in _shown(found).items():
        say(f"{what:<12} {value}")
    return Exit.PASSED


@click.command("cancel-batch")
@click.argument("name")
@click.argument("batch_id", metavar="ID")
@memory_options
def cancel_batch(name: str, batch_id: str, choice: MemoryChoice) -> int:
    """Cancel batch ID of queue NAME: its callback and all of its jobs that have not ended.

    Workers are told of those that run, which are pending until they have ended. Exit code 1 if
    there is no such batch.
    """
    found = _asked(choice, name, batch_id, cancel=True)
    if found is None:
        return Exit.GATE_FAILED
    say(f"{found.id}\t{found.state}\t{_told(found)}")
    return Exit.PASSED


def _asked(choice: MemoryChoice, name: str, batch_id: str, *, cancel: bool) -> BatchProgress | None:
    async def ask(queue: WorkQueue) -> BatchProgress:
        found = queue.get_batch(batch_id)
        return await (found.cancel() if cancel else found.progress())

    try:
        return with_queue(choice, name, ask)
    except JobNotFoundError as error:
        mention(f"aqe: {error}")
        return None


def _told(found: BatchProgress) -> str:
    ended = found.total - found.pending
    counts = f"{found.done:,} done, {found.dead:,} dead, {found.cancelled:,} cancelled"
    return f"{ended:,} of {found.total:,}: {counts}"


def _shown(found: BatchProgress) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "created_at": found.created_at.isoformat()}
