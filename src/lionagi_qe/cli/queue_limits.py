"""``aqe queue limit|limits``: how many jobs of a queue run at once, or begin in a time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.one_queue import with_queue
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from typing import Literal

    from lionagi_qe.coordination import Limit, WorkQueue


@click.command()
@click.argument("name")
@json_option
@memory_options
def limits(name: str, choice: MemoryChoice, *, as_json: bool) -> None:
    """List the limits of queue NAME: that of the queue, and that of each of its keys."""
    found: list[Limit] = with_queue(choice, name, lambda queue: queue.limits(), about_jobs=False)
    if as_json:
        show_json([dataclasses.asdict(each) for each in found])
        return
    for each in found:
        say(_told(each))


@click.command()
@click.argument("name")
@click.option(
    "--per",
    type=click.Choice(("queue", "key")),
    default="queue",
    show_default=True,
    help="All jobs together, or those of each limit key by itself.",
)
@click.option("--concurrency", type=click.IntRange(1), help="Most jobs at once.")
@click.option("--rate", type=click.IntRange(1), help="Most jobs that begin each period, evenly.")
@click.option("--period", type=float, default=1.0, show_default=True, help="Seconds.")
@click.option("--burst", type=click.IntRange(1), help="Of a rate: how many may begin at once.")
@click.option("--off", is_flag=True, help="Take the limit away.")
@memory_options
def limit(  # noqa: PLR0913 - one for each option
    name: str,
    *,
    per: Literal["queue", "key"],
    concurrency: int | None,
    rate: int | None,
    period: float,
    burst: int | None,
    off: bool,
    choice: MemoryChoice,
) -> None:
    """Limit queue NAME in the place of the former limit, for all its workers, from now on."""
    if off == (concurrency is not None or rate is not None):
        raise click.UsageError("say --concurrency or --rate or both, or else --off")

    async def put(queue: WorkQueue) -> list[Limit]:
        await queue.limit(per=per, concurrency=concurrency, rate=rate, period=period, burst=burst)
        return [each for each in await queue.limits() if each.per == per]

    found: list[Limit] = with_queue(choice, name, put, about_jobs=False)
    say(_told(found[0]) if found else f"{per}\tno limit")


def _told(limit: Limit) -> str:
    parts: list[str] = []
    if limit.concurrency is not None:
        parts.append(f"{limit.concurrency:,} at once")
    if limit.rate is not None:
        parts.append(f"{limit.rate:,} each {limit.period:g} s, {limit.burst:,} of them at once")
    return f"{limit.per}\t{'; '.join(parts)}"
