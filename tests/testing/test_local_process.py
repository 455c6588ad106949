"""A server as a child process: nothing of it outlives a kill, nothing of it escapes a pause."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from lionagi_qe.testing.servers.ports import wait_until
from lionagi_qe.testing.servers.runner import LocalProcess, docker_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A parent that makes children without a pause, each in a session of its own as PostgreSQL's are.
# They end by themselves so that a failing test doesn't fill the machine.
FORKING = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(2)
        os._exit(0)
    time.sleep(0.001)
"""


@pytest.fixture
def forking() -> Iterator[tuple[LocalProcess, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="lionagi-qe-forking-"))
    process = LocalProcess([sys.executable, "-c", FORKING], folder)
    try:
        process.start()
        _children_are_made(folder)
        yield process, folder
    finally:
        process.close()
    assert not folder.exists()


def test_a_killed_parent_leaves_no_child_made_while_it_was_killed(
    forking: tuple[LocalProcess, Path],
) -> None:
    process, folder = forking
    for _ in range(3):
        process.kill()
        assert not process.running()
        assert _of(folder) == {}
        process.start()
        _children_are_made(folder)


def test_a_parent_that_dies_while_it_is_killed_takes_its_children_along(
    forking: tuple[LocalProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = forking
    monkeypatch.setattr(psutil.Process, "suspend", psutil.Process.kill)
    before = _of(folder).keys()
    process.kill()
    assert not before & _of(folder).keys()


def test_a_paused_parent_has_no_child_that_goes_on(forking: tuple[LocalProcess, Path]) -> None:
    process, folder = forking
    process.pause()
    paused = _of(folder)
    _wait_until(lambda: set(_of(folder).values()) == {psutil.STATUS_STOPPED}, "all have stopped")
    process.resume()
    _wait_until(lambda: bool(_of(folder).keys() - paused), "it makes children again")


def _children_are_made(folder: Path) -> None:
    _wait_until(lambda: len(_of(folder)) > 20, "children are made")


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, what, timeout=30)


def _of(folder: Path) -> dict[int, str]:
    """Return the processes that work in the folder, and what each is doing."""
    return {
        process.pid: process.info["status"]
        for process in psutil.process_iter(["cwd", "status"])
        if process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE
    }


@pytest.mark.parametrize(("gets", "used"), [("1", False), ("0", True)])
def test_docker_is_used_where_it_has_or_gets_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gets: str, *, used: bool
) -> None:
    # An engine that answers, as on a machine that is offline; what it has is never there.
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in info) exit 0;; pull) exit {gets};; *) exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert docker_runs.__wrapped__("an-image-of-nobody") is used
