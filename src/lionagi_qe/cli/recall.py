"""``aqe memory recall|indexes|reindex``: search in what entries say."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.cli.embedding_options import embed_option
from lionagi_qe.cli.ending import mention, run_until_told
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, json_option, memory_options, show_json
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import quiet_option, telling
from lionagi_qe.errors import EmbeddingNotFoundError

if TYPE_CHECKING:
    from lionagi_qe.cli.progress import Told
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.ranking import Recalled


@click.command()
@click.argument("query")
@click.option("--index", required=True, metavar="NAME", help="Which index; see aqe memory indexes.")
@click.option("--limit", type=int, default=10, show_default=True, help="At most so many.")
@click.option("--prefix", help="Only keys that start so.")
@click.option("--min-relevance", type=float, help="Only what is as relevant, -1 to 1.")
@embed_option
@json_option
@quiet_option
@memory_options
def recall(  # noqa: PLR0913, PLR0917 - a command's options
    query: str,
    index: str,
    limit: int,
    prefix: str | None,
    min_relevance: float | None,
    choice: MemoryChoice,
    *,
    as_json: bool,
) -> int:
    """Write the entries that say best what QUERY says, best first, one a line: the key, a tab, why.

    What was stored since the last recall is indexed first. An index with vectors is searched by
    words alone, in what is indexed, where the function that made them isn't known (--embed): then
    standard error tells so. Exit code 1 if there is none.
    """

    async def find() -> list[Recalled]:
        async with choice.look() as opened:
            search = partial(
                opened.recall,
                query,
                index=index,
                limit=limit,
                prefix=prefix,
                min_relevance=min_relevance,
            )
            try:
                return await search()
            except EmbeddingNotFoundError as error:
                mention(f"aqe: searched by words alone, in what is indexed: {error}")
            return await search(vectors=False, refresh=False)

    with telling("recalling entries"):
        found = run_until_told(find())
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
        "relevance": found.relevance,
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

    found = run_until_told(find())
    if as_json:
        show_json([asdict(each) for each in found])
        return
    for each in found:
        vectors = f", vectors of {each.dims} by {each.model}" if each.model else ""
        say(f"{each.name}\t{' '.join(each.text)} of {each.pattern}{vectors}")


@click.command()
@click.argument("name")
@embed_option
@quiet_option
@memory_options
def reindex(name: str, choice: MemoryChoice) -> None:
    """Make the index NAME anew beside the old one, which is searched until then.

    Killed, call it again: it goes on. An index with vectors needs the function that made
    them: --embed.
    """

    async def make(told: Told) -> None:
        async with choice.look() as opened:
            await opened.reindex(name, progress=told)

    with telling("indexing entries") as told:
        run_until_told(make(told))
    say(f"{name}: made anew")


COMMANDS = (recall, indexes, reindex)
