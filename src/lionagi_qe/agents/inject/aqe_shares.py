"""Does independent work in shares side by side, in forks of a process that is about to end.

Only where nothing can go wrong with that: on Linux, where no other thread could hold a lock that a
fork then waits for. What a fork does not bring to its end is done again here, so nothing is lost
but time. Old syntax and the standard library alone, as in ``aqe_launch``.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST = 4
# Beyond what the share done here takes: less is not worth starting a fork that stands.
_PATIENCE = 5.0


def done_in_shares(
    work: Callable[[list[str]], Any], weights: Mapping[str, float], least: float
) -> list[Any]:
    """Return what ``work`` returns of each share of the names: JSON data.

    Args:
        work: called with the names of one share, in a fork or here.
        weights: name -> how much work it is, in any unit.
        least: a share is at least so much work, in the same unit.

    """
    shares = _shares(weights, least)
    began = time.monotonic()
    forks = [_forked(work, share) for share in shares[1:]]
    results = [work(shares[0])]
    patience = 2 * (time.monotonic() - began) + _PATIENCE
    for fork, share in zip(forks, shares[1:]):  # noqa: B905 - old syntax
        found = None if fork is None else fork.result(patience)
        results.append(work(share) if found is None else found[0])
    return results


def _forked(work: Callable[[list[str]], Any], share: list[str]) -> _Fork | None:
    """Begin to work on a share in a fork; None where there can be no more processes."""
    try:
        return _Fork(work, share)
    except OSError:
        return None


def _shares(weights: Mapping[str, float], least: float) -> list[list[str]]:
    """Divide the names into shares of about as much work."""
    number = min(_cores(), _MOST, int(sum(weights.values()) // least))
    loads = [(0.0, index) for index in range(max(number, 1))]
    shares: list[list[str]] = [[] for _ in loads]
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        load, index = loads[0]
        shares[index].append(name)
        heapq.heapreplace(loads, (load + weights[name], index))
    return [sorted(share) for share in shares]


def _cores() -> int:
    """Return how many processes can be at work at once; 1 where a fork is not safe."""
    if not sys.platform.startswith("linux"):
        return 1
    try:
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
            return 1
    except OSError:
        return 1
    return len(os.sched_getaffinity(0))


class _Fork:
    """A fork of this process that works on a share."""

    def __init__(self, work: Callable[[list[str]], Any], share: list[str]) -> None:
        # Not those of ``os``, which coverage.py and tests replace.
        import posix

        self._heard, said = os.pipe()
        try:
            self._process = posix.fork()
        except OSError:
            os.close(self._heard)
            os.close(said)
            raise
        if self._process:
            os.close(said)
            return
        code = 1
        try:
            content = json.dumps([work(share)]).encode()
            while content:
                content = content[os.write(said, content) :]
            code = 0
        finally:
            # Whatever else a process does at its end is its parent's to do.
            posix._exit(code)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def result(self, patience: float) -> list[Any] | None:
        """Return the result in a list; None if there is none within so many seconds."""
        ends = time.monotonic() + patience
        parts: list[bytes] = []
        while True:
            ready, _, _ = select.select([self._heard], [], [], max(ends - time.monotonic(), 0.0))
            part = os.read(self._heard, 1 << 16) if ready else b""
            if not part:
                break
            parts.append(part)
        os.close(self._heard)
        try:
            if not ready:
                os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        except OSError:
            # The tests may have left this process in any state: one that reaps by itself, say.
            pass
        try:
            return json.loads(b"".join(parts))
        except ValueError:
            return None
