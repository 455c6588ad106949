"""Python programs in processes of their own, for all tests that start some."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, NamedTuple

from tests import prefork

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping
    from pathlib import Path

# What ``aqe`` is, for the interpreter that runs the tests.
AQE = ("-W", "error", "-m", "lionagi_qe.cli.main")


class Done(NamedTuple):
    """How a program ended."""

    code: int
    output: str
    complaints: str


async def start(
    *arguments: object,
    stdin: int | None = None,
    stderr: int | None = PIPE,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start Python with these arguments: a script's path, or ``-c`` and a program, and its own."""
    if arguments[: len(AQE)] == AQE:
        words, flags = arguments[len(AQE) :], AQE[:2]
        return await prefork.start(
            "aqe", AQE[-1], *words, flags=flags, stdin=stdin, stderr=stderr, env=env
        )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, arguments),
        stdin=stdin,
        stdout=PIPE,
        stderr=stderr,
        env={**os.environ, **(env or {})},
    )


async def finish(process: Process) -> str:
    """Wait until a program has ended well, and return its output."""
    output, complaints = await process.communicate()
    assert process.returncode == 0, (complaints or b"").decode()
    return output.decode()


async def run(*arguments: object, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its good end, beside this test's loop; return its output."""
    return await finish(await start(*arguments, env=env))


def call(
    *arguments: object,
    given: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Done:
    """Run a program to whatever end.

    The user's own settings for memories don't reach it; ``env`` is added to the environment.
    """
    kept = {name: value for name, value in os.environ.items() if "LIONAGI" not in name}
    own = {**kept, **(env or {})}
    if arguments[: len(AQE)] == AQE:
        words = [str(each) for each in arguments[len(AQE) :]]
        found = prefork.call(words, flags=AQE[:2], env=own, cwd=cwd, given=given.encode())
        return Done(found.code, found.output.decode(), found.complaints.decode())
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        env=own,
        cwd=cwd,
        check=False,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)
