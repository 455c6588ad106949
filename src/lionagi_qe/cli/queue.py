"""``aqe queue``: what waits, what is done, what died; and giving the dead another chance."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import mention
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.coordination import DeadJob, QueueCounts, WorkQueue
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence import Memory

_STATES = ("ready", "delayed", "claimed", "done", "dead")
_MISSING = Exit.GATE_FAILED


@click.group()
def queue() -> None:
    """Look at work queues and their dead letters.

    Jobs are ready, delayed, claimed by a worker, done (as long as the result is kept), or dead:
    tried as often as allowed and failed.
    """


@queue.command()
@json_option
@memory_options
def ls(choice: MemoryChoice, *, as_json: bool) -> None:
    """List the queues with their counts, one a line."""

    async def count() -> dict[str, QueueCounts]:
        async with choice.look() as memory:
            return await count_queues(memory)

    counts = asyncio.run(count())
    if as_json:
        show_json({name: dataclasses.asdict(found) for name, found in counts.items()})
        return
    for name, found in counts.items():
        figures = "  ".join(f"{getattr(found, state):>8,} {state}" for state in _STATES)
        say(f"{figures}{_about(found)}  {name}")


async def count_queues(memory: Memory) -> dict[str, QueueCounts]:
    """Count the jobs of each queue that has some."""
    names = await parts_of(memory).jobs.queues()
    counts = await asyncio.gather(*(WorkQueue(memory, name).stats() for name in names))
    return dict(zip(names, counts, strict=True))


def _about(counts: QueueCounts) -> str:
    return "" if counts.exact else " (or more)"


@queue.command()
@click.argument("name")
@json_option
@memory_options
def stats(name: str, choice: MemoryChoice, *, as_json: bool) -> None:
    """Count the jobs of queue NAME by state."""
    found = _with_queue(choice, name, lambda queue: queue.stats())
    if as_json:
        show_json(dataclasses.asdict(found))
        return
    for state in _STATES:
        say(f"{state:<8} {getattr(found, state):,}{_about(found)}")


@queue.command()
@click.argument("name")
@click.option("--limit", default=100, show_default=True, help="At most so many.")
@click.option("--after", default="", metavar="ID", help="Go on behind this job.")
@json_option
@memory_options
def dead(name: str, limit: int, after: str, choice: MemoryChoice, *, as_json: bool) -> None:
    """List dead jobs of queue NAME, the oldest first: id, attempts, error, payload."""
    jobs: list[DeadJob] = _with_queue(choice, name, lambda queue: queue.dead(limit, after))
    if as_json:
        show_json(
            [{**dataclasses.asdict(job), "created_at": job.created_at.isoformat()} for job in jobs]
        )
        return
    for job in jobs:
        payload = json.dumps(job.payload, ensure_ascii=False)
        error = " ".join(str(job.error).split())
        say(f"{job.id}\t{job.attempts}\t{error}\t{payload}")


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "all_of_them", is_flag=True, help="All dead jobs of the queue.")
@memory_options
def retry(name: str, job_ids: tuple[str, ...], choice: MemoryChoice, *, all_of_them: bool) -> int:
    """Give dead jobs of queue NAME all their attempts again. Exit code 1 if one wasn't dead."""
    wanted = _wanted(job_ids, all_of_them=all_of_them)
    changed = _with_queue(choice, name, lambda queue: queue.retry_dead(wanted))
    return _report("ready again", changed, wanted)


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "all_of_them", is_flag=True, help="All dead jobs of the queue.")
@memory_options
def purge(name: str, job_ids: tuple[str, ...], choice: MemoryChoice, *, all_of_them: bool) -> int:
    """Remove dead jobs of queue NAME for good. Exit code 1 if one wasn't dead."""
    wanted = _wanted(job_ids, all_of_them=all_of_them)
    changed = _with_queue(choice, name, lambda queue: queue.purge_dead(wanted))
    return _report("removed", changed, wanted)


def _wanted(job_ids: tuple[str, ...], *, all_of_them: bool) -> list[str] | None:
    if bool(job_ids) == all_of_them:
        raise click.UsageError("name the jobs by their ids, or say --all")
    return None if all_of_them else list(dict.fromkeys(job_ids))


def _report(what: str, changed: int, wanted: list[str] | None) -> int:
    if wanted is None:
        say(f"{what}: {changed:,}")
        return Exit.PASSED
    say(f"{what}: {changed:,} of {len(wanted):,}")
    return Exit.PASSED if changed == len(wanted) else _MISSING


def _with_queue(
    choice: MemoryChoice, name: str, action: Callable[[WorkQueue], Awaitable[Any]]
) -> Any:  # noqa: ANN401 - what the action returns
    async def act() -> Any:  # noqa: ANN401
        async with choice.look() as memory:
            known = await parts_of(memory).jobs.queues()
            if name not in known:
                there = f"there are: {', '.join(known)}" if known else "there is none"
                mention(f"aqe: no queue {name!r} has jobs; {there}")
            return await action(WorkQueue(memory, name))

    return asyncio.run(act())
