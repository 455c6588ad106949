"""``aqe mcp``: the memory and the fleet's results for MCP clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import memory_options

if TYPE_CHECKING:
    from lionagi_qe.cli.options import MemoryChoice


@click.command()
@memory_options
@click.option("--write", is_flag=True, help="Let clients change the memory, too.")
@click.option(
    "--area", default="aqe", show_default=True, help="What the keys that they reach start with."
)
@click.option(
    "--results", is_flag=True, help="With --area: let clients read the fleet's results, too."
)
@click.option("--queue", metavar="NAME", help="Let clients work on this queue; needs --write.")
def mcp(choice: MemoryChoice, *, write: bool, area: str, results: bool, queue: str | None) -> int:
    """Serve the memory to one MCP client over standard input and output.

    Without --write a client can read entries and results and nothing else; with --area entries in
    there alone. For example, in a client's configuration:
    {"command": "aqe", "args": ["mcp", "--memory", "sqlite:///memory.db"]}.
    """
    if queue is not None and not write:
        raise click.UsageError("--queue: to claim a job is a change; add --write")
    asyncio.run(_serve(choice, write=write, area=area, results=results, queue=queue))
    return Exit.PASSED


async def _serve(
    choice: MemoryChoice, *, write: bool, area: str, results: bool, queue: str | None
) -> None:
    from lionagi_qe.integrations.mcp import fleet_server, serve_stdio

    # Whoever only reads brings no schema up.
    async with choice.open(migrate=write) as memory:
        server = fleet_server(memory, area=area, write=write, results=results, queue=queue)
        await serve_stdio(server)
