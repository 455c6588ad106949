"""``aqe worker URL``: examine what runs on this or any other machine have to examine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket

import click

from lionagi_qe.agents.project.isolation import Isolation
from lionagi_qe.cli.ending import requests_to_end
from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import MemoryChoice
from lionagi_qe.cli.output import say
from lionagi_qe.cli.progress import lines, quiet_option
from lionagi_qe.fleet import channels
from lionagi_qe.fleet.signatures import VARIABLE, SigningKeys, refusal
from lionagi_qe.fleet.worker import Worker
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET


@click.command()
@click.argument("url", required=False)
@click.option(
    "--fleet",
    default=DEFAULT_FLEET,
    show_default=True,
    help="Take tasks of this fleet's runs alone.",
)
@click.option("--name", metavar="NAME", help="What others see; by default host and process.")
@click.option(
    "--isolate",
    is_flag=True,
    envvar="AQE_ISOLATE",
    help="Run the projects' code without your files, processes and network, also where a run "
    "does not ask for it, and without network and variables whatever it asks; takes "
    "bubblewrap, or Podman or Docker.",
)
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help=f"Trust whoever can write to the memory, where {VARIABLE} holds no keys. A memory in a "
    "file needs none.",
)
@quiet_option
def worker(
    url: str | None,
    fleet: str,
    *,
    name: str | None,
    isolate: bool,
    allow_unsigned: bool,
) -> int:
    """Take tasks of all runs that keep their results in the memory at URL, until Ctrl-C.

    Without URL it is the memory that aqe run uses here.

    Start as many as there are processors, on any machines. A run gives its agents' work to the
    workers that it finds; it ships the project's files through the memory, and each worker
    builds its own environment. Whoever can write to the memory could run code here: workers of
    a server take signed tasks alone, by the keys that aqe run has as well, and may isolate
    what they run.
    """
    choice = MemoryChoice.of(url, fleet)
    keys = SigningKeys.from_env()
    if keys is None and not allow_unsigned and not choice.is_file:
        raise click.UsageError(refusal(choice.shown))
    own = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    return asyncio.run(_work(choice, own, keys, isolate=isolate))


async def _work(
    choice: MemoryChoice, name: str, keys: SigningKeys | None, *, isolate: bool
) -> Exit:
    code = Exit.PASSED
    if isolate:
        # Before anything is taken that could not be done.
        Isolation.find()
    async with choice.open() as memory:
        tell = lines()
        found = Worker(memory, name, tell, keys=keys, isolate=isolate)

        def stop(number: int) -> None:
            nonlocal code
            code = Exit.INTERRUPTED if number == signal.SIGINT else Exit.PASSED
            found.stop()

        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, *requests_to_end()):
                loop.add_signal_handler(number, stop, number)
        say(f"worker {name} of {channels.name()} on {choice.shown}", err=True)
        await found.work()
    return code
