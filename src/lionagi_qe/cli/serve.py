"""``aqe serve [URL]``: the live console of a memory, in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import webbrowser
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.embedding_options import embed_option
from lionagi_qe.cli.ending import mention, requests_to_end
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice, fleet_option
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from lionagi_qe.web.serving import Settings

_TOKEN_VARIABLE = "AQE_SERVE_TOKEN"  # noqa: S105 - where one is looked for


@click.command()
@click.argument("url", required=False)
@fleet_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind to.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8077,
    show_default=True,
    help="The port; 0 for any that is free.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="What a proxy puts before each address, as /console.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further name by which browsers may ask for it; may be given more than once.",
)
@click.option(
    "--write", is_flag=True, help="Let whoever has the token change entries, jobs and leases."
)
@click.option(
    "--private/--no-private",
    default=None,
    help="Whether to look needs the token, too; by default where other machines can ask for it.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in this machine's browser.")
@embed_option
def serve(  # noqa: PLR0913 - one for each option
    url: str | None,
    fleet: str,
    *,
    host: str,
    port: int,
    root_path: str,
    hosts: tuple[str, ...],
    write: bool,
    private: bool | None,
    opens: bool,
) -> int:
    """Serve a live console of the memory at URL until Ctrl-C: fleet, queues, entries, projects.

    Without URL it is the memory that aqe run uses here; it has to be there. It only shows, unless
    --write is given; then it prints a token to sign in with, or takes that of $AQE_SERVE_TOKEN.
    """
    from lionagi_qe.web.serving import Settings, is_loopback

    choice = MemoryChoice.of(url, fleet)
    is_private = not is_loopback(host) if private is None else private
    given = os.environ.get(_TOKEN_VARIABLE)
    token = (given or secrets.token_urlsafe()) if write or is_private else None
    settings = Settings(host, port, root_path, token, write, is_private, hosts, choice.shown)
    if token is not None and not given:
        mention(f"token: {token}")
    return asyncio.run(_serve(choice, settings, opens=opens))


async def _serve(choice: MemoryChoice, settings: Settings, *, opens: bool) -> Exit:
    from lionagi_qe.web.serving import serve as serve_console

    code, end = Exit.PASSED, asyncio.Event()

    def stop(number: int) -> None:
        nonlocal code
        code = Exit.INTERRUPTED if number == signal.SIGINT else Exit.PASSED
        end.set()

    def begun(address: str) -> None:
        say(f"console of {choice.shown} at {address}", err=True)
        if opens:
            webbrowser.open(address)

    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, *requests_to_end()):
            loop.add_signal_handler(number, stop, number)
    async with choice.look() as memory:
        await serve_console(memory, settings, begun, end)
    return code
