"""``aqe queue``: what waits, is done, died; cancelling, and giving the dead another chance."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ages import age
from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.one_queue import with_queue
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.cli.queue_batches import batch, batches, cancel_batch
from lionagi_qe.cli.queue_limits import limit, limits
from lionagi_qe.cli.queue_schedules import schedule, schedules, unschedule
from lionagi_qe.coordination import (
    Cancellation,
    DeadGroup,
    DeadJob,
    FailedAttempt,
    JobDetails,
    QueueCounts,
    WorkQueue,
)
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence import Memory

_STATES = ("ready", "delayed", "waiting", "claimed", "done", "dead", "cancelled")
_LISTED = 100
_GROUPED = 10_000
_MISSING = Exit.GATE_FAILED


@click.group(cls=Group)
def queue() -> None:
    """Look at work queues, their jobs, batches, schedules, limits, dead letters; cancel jobs.

    Jobs are ready, delayed, waiting for others, claimed by a worker, done or cancelled (as long as
    the result is kept), or dead: tried as often as allowed and failed. A schedule has one put at
    its times; a limit says how many run at once, or begin in a time.
    """


for _command in (batches, batch, cancel_batch, schedules, schedule, unschedule, limits, limit):
    queue.add_command(_command)


@queue.command()
@json_option
@quiet_option
@memory_options
def ls(choice: MemoryChoice, *, as_json: bool) -> None:
    """List the queues with their counts, one a line."""

    async def count() -> dict[str, QueueCounts]:
        async with choice.look() as memory:
            return await count_queues(memory)

    with telling("counting jobs"):
        counts = run_until_told(count())
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
    found = with_queue(choice, name, lambda queue: queue.stats())
    if as_json:
        show_json(dataclasses.asdict(found))
        return
    for state in _STATES:
        say(f"{state:<9} {getattr(found, state):,}{_about(found)}")


@queue.command()
@click.argument("name")
@click.argument("job_id", metavar="ID")
@json_option
@memory_options
def show(name: str, job_id: str, choice: MemoryChoice, *, as_json: bool) -> int:
    """Show all that is known of job ID of queue NAME. Exit code 1 if there is none.

    How it stands, its attempts and progress; what it waits for: its delay, a claim's end, other
    jobs; its keys, batch and schedule.
    """
    details: JobDetails | None = with_queue(choice, name, lambda queue: queue.details(job_id))
    if details is None:
        mention(f"aqe: queue {name!r} has no job {job_id!r}, or not any more")
        return _MISSING
    found = _document(details)
    if as_json:
        show_json(found)
        return Exit.PASSED
    for what, value in found.items():
        if what == "failed_attempts":
            _say_attempts(details.status.failed_attempts)
            continue
        # What a job has no part in needs no line; with --json all of it is there.
        if value not in (None, {}, []):
            is_text = isinstance(value, str)
            say(f"{what:<13} {value if is_text else json.dumps(value, ensure_ascii=False)}")
    return Exit.PASSED


def _say_attempts(attempts: Sequence[FailedAttempt]) -> None:
    for each in attempts:
        where = "" if each.worker is None else f" on {each.worker}"
        took = "" if each.seconds is None else f" after {each.seconds:g} s"
        say(f"attempt {each.attempt:<5} failed {each.ended_at.isoformat()}{where}{took}")
        for line in (each.traceback or each.error).splitlines():
            say(f"    {line}")


def _document(details: JobDetails) -> dict[str, Any]:
    found = dataclasses.asdict(details)
    return _with_times({**found.pop("status"), **found})


def _with_times(value: Any) -> Any:  # noqa: ANN401 - JSON data but for its times
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _with_times(each) for name, each in value.items()}
        case list() | tuple():
            return [_with_times(each) for each in value]
        case _:
            return value


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, required=True, metavar="ID...")
@memory_options
def cancel(name: str, job_ids: tuple[str, ...], choice: MemoryChoice) -> int:
    """Cancel jobs of queue NAME; have the workers told of those that run.

    Prints what it came to, one a line: cancelled, cancelling, already done, already dead, unknown.
    Exit code 1 if one is neither cancelled nor being so.
    """

    async def cancel_all(queue: WorkQueue) -> list[Cancellation]:
        return await asyncio.gather(*map(queue.cancel, job_ids))

    found: list[Cancellation] = with_queue(choice, name, cancel_all)
    for job_id, outcome in zip(job_ids, found, strict=True):
        say(f"{job_id}\t{outcome}")
    return Exit.PASSED if set(found) <= {"cancelled", "cancelling"} else _MISSING


@queue.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), help="At most so many; 100, grouped 10,000.")
@click.option("--after", default="", metavar="ID", help="Go on behind this job.")
@click.option("--group", is_flag=True, help="Count them by the reason why they died.")
@json_option
@quiet_option
@memory_options
def dead(  # noqa: PLR0913 - one for each option
    name: str,
    limit: int | None,
    after: str,
    choice: MemoryChoice,
    *,
    group: bool,
    as_json: bool,
) -> None:
    """List dead jobs of queue NAME, the oldest first: id, attempts, error, payload.

    With --group: how many died of what, the most frequent first, with the id of the oldest.
    """
    if group:
        if after:
            raise click.UsageError("--group: counts from the oldest on; leave --after out")
        _show_groups(choice, name, limit or _GROUPED, as_json=as_json)
        return
    limit = limit or _LISTED
    with telling("reading dead jobs"):
        jobs: list[DeadJob] = with_queue(choice, name, lambda queue: queue.dead(limit, after))
    if as_json:
        show_json([_shown(job) for job in jobs])
        return
    for job in jobs:
        payload = json.dumps(job.payload, ensure_ascii=False)
        error = " ".join(str(job.error).split())
        say(f"{job.id}\t{job.attempts}\t{error}\t{payload}")


def _show_groups(choice: MemoryChoice, name: str, limit: int, *, as_json: bool) -> None:
    with telling("reading dead jobs"):
        groups: list[DeadGroup] = with_queue(choice, name, lambda queue: queue.dead_groups(limit))
    if as_json:
        show_json(
            [
                {
                    "reason": group.reason,
                    "count": group.count,
                    "first": _shown(group.first),
                    "last": _shown(group.last),
                }
                for group in groups
            ]
        )
        return
    for group in groups:
        say(f"{group.count:>8,}  {group.reason}  (first: {group.first.id})")


def _shown(job: DeadJob) -> dict[str, Any]:
    return {**dataclasses.asdict(job), "created_at": job.created_at.isoformat()}


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "all_of_them", is_flag=True, help="All dead jobs of the queue.")
@quiet_option
@memory_options
def retry(name: str, job_ids: tuple[str, ...], choice: MemoryChoice, *, all_of_them: bool) -> int:
    """Give dead jobs of queue NAME all their attempts again.

    One whose key an unended job has stays dead. Exit code 1 if one does, or wasn't dead.
    """
    wanted = _wanted(job_ids, all_of_them=all_of_them)
    with telling("giving dead jobs their attempts again"):
        changed = with_queue(choice, name, lambda queue: queue.retry_dead(wanted))
    return _report("ready again", changed, wanted)


@queue.command()
@click.argument("name")
@click.argument("job_ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "all_of_them", is_flag=True, help="All dead jobs of the queue.")
@click.option(
    "--older-than",
    callback=age,
    metavar="AGE",
    help="All dead jobs that were put longer ago than that: 30d, 12h.",
)
@quiet_option
@memory_options
def purge(
    name: str,
    job_ids: tuple[str, ...],
    choice: MemoryChoice,
    *,
    all_of_them: bool,
    older_than: float | None,
) -> int:
    """Remove dead jobs of queue NAME for good. Exit code 1 if one wasn't dead."""
    if older_than is not None and (job_ids or all_of_them):
        raise click.UsageError("--older-than: leave out --all and the jobs' ids")
    wanted = None if older_than is not None else _wanted(job_ids, all_of_them=all_of_them)
    with telling("removing dead jobs"):
        changed = with_queue(
            choice, name, lambda queue: queue.purge_dead(wanted, older_than=older_than)
        )
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
