"""``aqe memory rekey``: seal all of an encrypted memory by its newest key."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, fleet_option, json_option, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.persistence import transfer

if TYPE_CHECKING:
    from lionagi_qe.cli.progress import Told


@click.command()
@click.argument("url", required=False)
@fleet_option
@json_option
@quiet_option
def rekey(url: str | None, fleet: str, *, as_json: bool) -> int:
    """Seal all of the memory at URL by the first of its keys, and look that it is so.

    Entries, jobs with their results, schedules and leases: older keys can go then. URL names the
    variable that holds the keys: ?keys=VARIABLE. The memory may be in use, once all who use it
    have the new key first. Killed, call it again: it goes on with what is left.

    Exit code 1 if something is left that needs another key.
    """
    choice = MemoryChoice.of(url, fleet)

    async def run(told: Told) -> transfer.Rekeyed:
        async with choice.look() as memory:
            total = (await memory.get_stats())["total_keys"]
            return await transfer.rekey(memory, progress=lambda passed: told(passed, total))

    with telling("sealing entries and jobs") as told:
        done = run_until_told(run(told))
    if as_json:
        show_json({**dataclasses.asdict(done), "complete": done.complete})
    else:
        _tell(done, choice.shown)
    return Exit.PASSED if done.complete else Exit.GATE_FAILED


def _tell(done: transfer.Rekeyed, shown: str) -> None:
    say(
        f"{shown}: sealed {done.sealed:,} entries anew by the key {done.key!r}, and "
        f"{done.texts_sealed:,} texts of jobs, schedules and leases"
    )
    if done.complete:
        say(f"verified: all {done.entries:,} entries and {done.texts:,} texts were opened by it")
    if done.left:
        say(f"{done.left:,} were sealed by another key meanwhile: somebody still uses one")
    for reason in done.first:
        say(reason)
    if done.refused > len(done.first):
        say(f"... and {done.refused - len(done.first):,} more that can't be opened")
