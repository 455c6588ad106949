"""``aqe memory grant|revoke|grants``: what the server itself lets its roles do."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from lionagi_qe.cli.exits import Exit
from lionagi_qe.cli.options import (
    MemoryChoice,
    fleet_option,
    json_option,
    show_json,
    standard_input,
)
from lionagi_qe.cli.output import say

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.grants import Grant, Granted

_REDIS = ("redis", "rediss")


@click.command()
@click.argument("url")
@click.argument("role")
@click.option("--read", multiple=True, metavar="PATTERN", help="Keys that it may read; repeatable.")
@click.option("--write", multiple=True, metavar="PATTERN", help="Keys that it may change and read.")
@click.option("--queues", multiple=True, metavar="PATTERN", help="Queues that it may use.")
@click.option("--leases", multiple=True, metavar="PATTERN", help="Leases that it may use.")
@click.option("--read-only", is_flag=True, help="Redis: it may read the fleet, and change nothing.")
@click.option(
    "--password-env", metavar="VARIABLE", help="Redis: the environment variable with its password."
)
@click.option("--password-stdin", is_flag=True, help="Redis: read its password, one line.")
@fleet_option
@json_option
def grant(  # noqa: PLR0913, PLR0917 - a command's options
    url: str,
    role: str,
    read: tuple[str, ...],
    write: tuple[str, ...],
    queues: tuple[str, ...],
    leases: tuple[str, ...],
    password_env: str | None,
    fleet: str,
    *,
    read_only: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Have the server let ROLE do this in the memory at URL, and nothing else.

    It replaces what ROLE was granted in the fleet before. PATTERNs are those of scopes; quote them.
    PostgreSQL binds a role that is there, by row-level security: URL is that of the tables' owner.
    Redis makes a user that has one fleet, all of it; its password is made and shown once, unless
    one is given. A file has no roles. A URL of - is that of $LIONAGI_QE_MEMORY.
    """
    choice = _choice(url, fleet)
    is_redis = choice.url.partition(":")[0].partition("+")[0] in _REDIS
    if not is_redis and (read_only or password_env or password_stdin):
        raise click.UsageError("--read-only and passwords are of Redis; write --read PATTERN")
    if is_redis and not (read or write or queues or leases):
        read, write = ("*",), () if read_only else ("*",)
    elif read_only and write:
        raise click.UsageError("--read-only and --write can't both be; give one of them")
    password = _password(password_env, given=password_stdin)

    # Imported when it is called: it takes as long as a short command of aqe memory.
    from lionagi_qe.persistence import grants as server

    async def run() -> Granted:
        async with choice.look() as memory:
            return await server.grant(
                memory,
                role,
                read=read,
                write=write,
                queues=queues,
                leases=leases,
                password=password,
            )

    granted = asyncio.run(run())
    if as_json:
        told = {"notes": list(granted.notes), "password": granted.password}
        show_json(granted.grant.facts() | told)
        return
    _tell(granted.grant)
    if granted.password is not None:
        say(f"password: {granted.password} (kept nowhere: note it now)")
    for note in granted.notes:
        say(f"note: {note}", err=True)


def _choice(url: str, fleet: str) -> MemoryChoice:
    """Return the memory at a URL; one that is - stands in the environment, out of others' sight."""
    return MemoryChoice.of(None if url == "-" else url, fleet)


def _password(variable: str | None, *, given: bool) -> str | None:
    """Return the password that the caller names; UsageError if it isn't there."""
    if variable is not None and given:
        raise click.UsageError("--password-env and --password-stdin each name one; give one")
    if variable is not None:
        found = os.environ.get(variable)
        if not found:
            raise click.UsageError(f"--password-env: ${variable} is not set, or empty")
        return found
    if not given:
        return None
    line = standard_input().readline().decode().rstrip("\r\n")
    if not line:
        raise click.UsageError("--password-stdin: standard input holds no line")
    return line


@click.command()
@click.argument("url")
@click.argument("role")
@fleet_option
def revoke(url: str, role: str, fleet: str) -> int:
    """Take from ROLE what it was granted in the fleet. Exit code 1 if that was nothing.

    A user of Redis is deleted; a role of PostgreSQL stays, without rights there.
    """
    from lionagi_qe.persistence import grants as server

    async def run() -> bool:
        async with _choice(url, fleet).look() as memory:
            return await server.revoke(memory, role)

    if asyncio.run(run()):
        say(f"{role}: has nothing in fleet {fleet} any more")
        return Exit.PASSED
    say(f"aqe: {role}: had no grant in fleet {fleet}", err=True)
    return Exit.GATE_FAILED


@click.command()
@click.argument("url")
@fleet_option
@json_option
def grants(url: str, fleet: str, *, as_json: bool) -> None:
    """List what roles were granted in the fleet of the memory at URL."""
    from lionagi_qe.persistence import grants as server

    async def run() -> list[Grant]:
        async with _choice(url, fleet).look() as memory:
            return await server.grants(memory)

    found = asyncio.run(run())
    if as_json:
        show_json([each.facts() for each in found])
        return
    for each in found:
        _tell(each)


def _tell(grant: Grant) -> None:
    parts = (
        ("read", grant.read),
        ("write", grant.write),
        ("queues", grant.queues),
        ("leases", grant.leases),
    )
    told = "; ".join(f"{name} {' '.join(patterns)}" for name, patterns in parts if patterns)
    say(f"{grant.role}, fleet {grant.fleet}: {told}")


COMMANDS = (grant, revoke, grants)
