"""``aqe serve`` as a process: what it prints, how it ends, what it says where it can't serve."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest
from tests import programs

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.persistence import Memory

# The console with its own extra alone.
WITHOUT_FLEET = """
import sys

for name in ("bandit", "detect_secrets", "packaging", "radon", "rich", "uv", "yaml"):
    sys.modules[name] = None
import lionagi_qe.web.serving
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_it_serves_until_it_is_asked_to_end(
    memory: Memory, number: signal.Signals, code: int
) -> None:
    url = f"sqlite:///{memory_file(memory)}"
    process = await programs.start(*programs.AQE, "serve", url, "--write", "--port", "0")
    assert process.stderr is not None
    token = (await process.stderr.readline()).decode()
    assert re.fullmatch(r"token: \S{40,}\n", token)
    told = (await process.stderr.readline()).decode()
    address = re.fullmatch(rf"console of {re.escape(url)} at (http://127\.0\.0\.1:\d+/)\n", told)
    assert address is not None
    async with httpx.AsyncClient() as client:
        await until_it_answers(client, f"{address[1]}healthz")
        rebound = await client.get(address[1], headers={"host": "evil.test"})
        assert rebound.status_code == 421
        async with client.stream("GET", f"{address[1]}changes") as stream:
            assert (await anext(stream.aiter_lines())) == ": connected"
            process.send_signal(number)
            output, complaints = await process.communicate()
    assert (process.returncode, output) == (code, b"")
    assert b"Traceback" not in complaints
    assert b"rror" not in complaints


def memory_file(memory: Memory) -> str:
    found = re.search(r"SQLite at (\S+),", repr(memory))
    assert found is not None
    return found[1]


async def until_it_answers(client: httpx.AsyncClient, address: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await client.get(address)
            except httpx.TransportError:
                continue
            assert answer.json() == {"status": "ok"}
            return


def test_a_memory_that_is_not_there_and_a_port_that_is_taken_are_told_in_a_line(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    done = programs.call(*programs.AQE, "serve", url, "--port", "0")
    assert (done.code, done.complaints.count("\n")) == (3, 1)
    assert not (tmp_path / "none.db").exists()

    async def make() -> None:
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)

    asyncio.run(make())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = programs.call(*programs.AQE, "serve", url, "--port", port)
    assert done.code == 3
    assert f"aqe: 127.0.0.1:{port}: Address already in use; name another" in done.complaints
    done = programs.call(*programs.AQE, "serve", url, "--root-path", "x/")
    assert done.code == 2
    assert "root path" in done.complaints


def test_it_needs_nothing_of_what_examines_projects() -> None:
    assert programs.call("-W", "error", "-c", WITHOUT_FLEET) == (0, "", "")
