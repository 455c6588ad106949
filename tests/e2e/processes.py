"""Processes of ``aqe`` that run beside a test."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests import prefork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

LONGEST_WAIT = 120


class Process:
    """An ``aqe``, and what it has said so far."""

    def __init__(self, process: prefork.Opened, out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def said(self) -> str:
        return self._err.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    def until(self, pattern: str) -> None:
        """Wait until it says something."""
        first_that_says([self], pattern)

    def ends(self) -> int:
        return self.process.wait(LONGEST_WAIT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def first_that_says(processes: Sequence[Process], pattern: str) -> Process:
    """Wait until one of several says something; return that one."""
    end = time.monotonic() + LONGEST_WAIT
    while True:
        for each in processes:
            if re.search(pattern, each.said):
                return each
            assert each.process.poll() is None, f"ended before it said {pattern!r}: {each.said}"
        said = "\n".join(each.said for each in processes)
        assert time.monotonic() < end, f"{pattern!r} was not said: {said}"
        time.sleep(0.02)


@contextmanager
def starting(variables: Mapping[str, str], folder: Path) -> Iterator[Callable[..., Process]]:
    """Give what starts ``aqe`` with arguments; what still runs in the end is ended."""
    started: list[Process] = []

    def call(*arguments: object) -> Process:
        out, err = (folder / f"{len(started)}.{name}" for name in ("out", "err"))
        process = prefork.open_aqe(*arguments, env=variables, cwd=folder, stdout=out, stderr=err)
        started.append(Process(process, out, err))
        return started[-1]

    yield call
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
    for each in started:
        each.ends()
