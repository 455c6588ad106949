"""A Dask scheduler and its workers, each a program of its own as people start them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DASK = Path(sys.executable).with_name("dask")
_LONGEST_WAIT = 60.0


class Program:
    """A program of Dask's, and what it said."""

    def __init__(self, words: tuple[str, ...], log: Path, env: Mapping[str, str]) -> None:
        with log.open("wb") as target:
            self.process = subprocess.Popen(
                [_DASK, *words], stdout=target, stderr=target, cwd=log.parent, env=env
            )
        self._log = log
        self.address = ""

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it says something."""
        end = time.monotonic() + _LONGEST_WAIT
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < end, f"{pattern!r} was not said: {self.said}"
            assert self.process.poll() is None, self.said
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Cluster:
    """A scheduler on a free port, without workers at first; to be closed.

    ``temporary`` is where its programs make temporary files.

    Args:
        folder: for logs and what workers keep.
        variables: that its programs have beside this process'.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._env = {**os.environ, **variables, "TMPDIR": str(self.temporary)}
        self.workers: list[Program] = []
        self.scheduler = Program(
            ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"),
            folder / "scheduler.log",
            self._env,
        )
        found = self.scheduler.until(r"Scheduler at:\s+(tcp://\S+)")
        self.scheduler.address = found[1]

    @property
    def address(self) -> str:
        """Its address, as ``--executor`` takes it."""
        return self.scheduler.address.replace("tcp://", "dask://")

    @property
    def alive(self) -> list[Program]:
        """The workers that run."""
        return [each for each in self.workers if each.process.poll() is None]

    def add_worker(self, threads: int = 1, **variables: str) -> Program:
        """Start a worker; it is registered later: see ``wait``."""
        name = f"worker-{len(self.workers)}"
        worker = Program(
            (
                *("worker", self.scheduler.address, "--name", name, "--host", "127.0.0.1"),
                *("--nthreads", str(threads), "--no-dashboard", "--no-nanny"),
                *("--local-directory", str(self._folder / name)),
            ),
            self._folder / f"{name}.log",
            {**self._env, **variables},
        )
        self.workers.append(worker)
        return worker

    def wait(self) -> None:
        """Wait until the workers that run are registered."""
        for each in self.alive:
            each.address = each.until(r"Start worker at:\s+(tcp://\S+)")[1]
            each.until("Registered to")

    def close(self) -> None:
        for each in (*self.workers, self.scheduler):
            each.kill()
