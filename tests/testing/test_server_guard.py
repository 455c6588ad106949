"""Servers end and their files go when the test process dies, in whatever way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.postgres, pytest.mark.redis]

# Starts everything, from a thread that has ended since, and tells which processes that made.
PROGRAM = """
import contextlib, json, sys, threading
import psutil
from lionagi_qe.testing.servers import *
servers = [RedisServer("{redis}"), PostgresServer(available_postgres_servers()[0])]
thread = threading.Thread(target=lambda: [server.start() for server in servers])
thread.start()
thread.join()
for server in servers:
    {before}
family = []
for process in psutil.Process().children(recursive=True):
    # One that is just ending is no more, or has no working directory any more.
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        if process.name() != "sh" and (folder := process.cwd()):
            family.append([process.pid, folder])
print(json.dumps(family), flush=True)
{then}
"""


@pytest.fixture
def program() -> Iterator[Any]:
    from lionagi_qe.testing.servers import available_redis_servers

    started: list[subprocess.Popen[str]] = []

    def run(before: str, then: str) -> tuple[subprocess.Popen[str], list[int], set[Path]]:
        text = PROGRAM.format(redis=available_redis_servers()[0].flavour, before=before, then=then)
        process = subprocess.Popen(
            [sys.executable, "-c", text],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        folders = {Path(folder) for _, folder in told}
        return process, [pid for pid, _ in told], folders

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("before", ["pass", "server.pause()", "server.restart()"])
@pytest.mark.parametrize("group", [False, True], ids=["process", "process group"])
def test_after_a_sigkill(program: Any, before: str, *, group: bool) -> None:
    process, pids, folders = program(before, "sys.stdin.read()")
    assert sum(map(_lives, pids)) >= 2  # PostgreSQL's own children come and go
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_lives, pids)), "servers end", timeout=60)
    wait_until(lambda: not any(map(_roots_exist, folders)), "folders go", timeout=60)


@pytest.mark.parametrize("then", ["pass", "raise SystemExit(3)", "import os; os._exit(1)"])
def test_after_an_end_that_forgot_to_close_them(program: Any, then: str) -> None:
    _, pids, folders = program("pass", then)
    wait_until(lambda: not any(map(_lives, pids)), "servers end", timeout=60)
    wait_until(lambda: not any(map(_roots_exist, folders)), "folders go", timeout=60)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _roots_exist(folder: Path) -> bool:
    assert "lionagi-qe-" in str(folder)
    return folder.exists()
