"""``aqe queue schedule|unschedule|schedules``: the periodic jobs of a queue."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.ending import mention
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.one_queue import with_queue
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.coordination import MISSED, OVERLAP, Schedule, WorkQueue

if TYPE_CHECKING:
    from datetime import datetime

    from lionagi_qe.coordination import Missed, Overlap


@click.command()
@click.argument("name")
@json_option
@memory_options
def schedules(name: str, choice: MemoryChoice, *, as_json: bool) -> None:
    """List the periodic jobs of queue NAME: when each is due next, its rule and payload."""
    found: list[Schedule] = with_queue(
        choice, name, lambda queue: queue.schedules(), about_jobs=False
    )
    if as_json:
        show_json([{**dataclasses.asdict(each), "next_at": _when(each.next_at)} for each in found])
        return
    for each in found:
        payload = json.dumps(each.payload, ensure_ascii=False)
        due = _when(each.next_at) or each.problem
        say(f"{each.name}\t{due}\t{each.cron} {each.timezone}\t{payload}")


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


@click.command()
@click.argument("name")
@click.argument("schedule_name", metavar="SCHEDULE")
@click.option(
    "--cron",
    required=True,
    help="When: five fields, six with seconds in front, or @daily.",
)
@click.option("--timezone", default="UTC", show_default=True, help="By which clocks.")
@click.option("--payload", default="null", metavar="JSON", help="What is put each time.")
@click.option("--priority", type=int, default=0, show_default=True, help="The lower, the sooner.")
@click.option(
    "--missed",
    type=click.Choice(MISSED),
    default="once",
    show_default=True,
    help="What becomes of times at which no worker was there.",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAP),
    default="allow",
    show_default=True,
    help="What becomes of times at which an earlier job of it has not ended.",
)
@memory_options
def schedule(  # noqa: PLR0913 - one for each option
    name: str,
    schedule_name: str,
    *,
    cron: str,
    timezone: str,
    payload: str,
    priority: int,
    missed: Missed,
    overlap: Overlap,
    choice: MemoryChoice,
) -> None:
    """Have a job put into queue NAME whenever --cron says, under the name SCHEDULE.

    The schedule of that name is replaced. The queue's workers see to it; a job is put once however
    many they are.
    """
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}", param_hint="--payload") from error

    async def put(queue: WorkQueue) -> Schedule:
        await queue.schedule(
            schedule_name,
            cron=cron,
            timezone=timezone,
            payload=value,
            priority=priority,
            missed=missed,
            overlap=overlap,
        )
        return next(each for each in await queue.schedules() if each.name == schedule_name)

    made: Schedule = with_queue(choice, name, put, about_jobs=False)
    say(f"{made.name}: due next at {_when(made.next_at) or made.problem}")


@click.command()
@click.argument("name")
@click.argument("schedule_name", metavar="SCHEDULE")
@memory_options
def unschedule(name: str, schedule_name: str, choice: MemoryChoice) -> int:
    """Remove SCHEDULE from queue NAME. Exit code 1 if there is none. Jobs put already stay."""
    if with_queue(choice, name, lambda queue: queue.unschedule(schedule_name), about_jobs=False):
        say(f"removed: {schedule_name}")
        return Exit.PASSED
    mention(f"aqe: queue {name!r} has no schedule {schedule_name!r}")
    return Exit.GATE_FAILED
