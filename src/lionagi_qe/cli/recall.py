"""``aqe memory recall|indexes|reindex``: search in what entries say."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.ending import run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.ranking import Recalled


@click.command()
@click.argument("query")
@click.option("--index", required=True, metavar="NAME", help="Which index; see aqe memory indexes.")
@click.option("--limit", type=int, default=10, show_default=True, help="At most so many.")
@click.option("--prefix", help="Only keys that start so.")
@json_option
@memory_options
def recall(  # noqa: PLR0913 - a command's options
    query: str, index: str, limit: int, prefix: str | None, choice: MemoryChoice, *, as_json: bool
) -> int:
    """Write the entries that say best what QUERY says, best first, one a line: the key, a tab, why.

    Exit code 1 if there is none.
    """

    async def find() -> list[Recalled]:
        async with choice.look() as opened:
            return await opened.recall(query, index=index, limit=limit, prefix=prefix)

    found = asyncio.run(find())
    if as_json:
        show_json([_facts(each) for each in found])
    else:
        for each in found:
            say(f"{each.key}\t{each.why}")
    return Exit.PASSED if found else Exit.GATE_FAILED


def _facts(found: Recalled) -> dict[str, Any]:
    return {
        "key": found.key,
        "score": found.score,
        "why": found.why,
        "stale": found.stale,
        "revision": found.entry.revision,
        "value": found.value,
    }


@click.command()
@json_option
@memory_options
def indexes(choice: MemoryChoice, *, as_json: bool) -> None:
    """List the indexes that were declared, one a line: the name, a tab, what it is of."""

    async def find() -> list[Declaration]:
        async with choice.look() as opened:
            return await opened.indexes()

    found = asyncio.run(find())
    if as_json:
        show_json([asdict(each) for each in found])
        return
    for each in found:
        vectors = f", vectors of {each.dims} by {each.model}" if each.model else ""
        say(f"{each.name}\t{' '.join(each.text)} of {each.pattern}{vectors}")


@click.command()
@click.argument("name")
@memory_options
def reindex(name: str, choice: MemoryChoice) -> None:
    """Make the index NAME anew beside the old one, which is searched until then.

    Killed, call it again: it goes on. An index with vectors needs the function that makes those
    that aren't kept: call memory.reindex() in a program that has it.
    """

    async def make() -> None:
        async with choice.look() as opened:
            await opened.reindex(name)

    run_until_told(make())
    say(f"{name}: made anew")


COMMANDS = (recall, indexes, reindex)
