"""Divides tests among the machines of a CI matrix: the same on each that knows the same durations.

A unit is what stays together: a test file, or in ``test`` mode a test, a class or a file whose
tests share fixtures. Each unit has a shard that its name alone decides. There it goes while that
shard is not full, and to the emptiest one else (consistent hashing with bounded loads), the longest
first. So shards end about together, and another test or another duration moves few units.

Whole numbers alone, so that no machine rounds otherwise. Runs on every Python that pytest 7 runs
on, so it keeps to the standard library and to old syntax, and imports nothing of the fleet.
"""

from __future__ import annotations

import hashlib
import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_UNITS_OF_TIME = 1000000
# How much more than its fair part a shard takes of units that prefer it: in percent.
_SLACK = 2


def weights(tests: Sequence[str], seconds: Mapping[str, float]) -> dict[str, int]:
    """Return test -> microseconds that it takes; all alike where no duration is known.

    A test that is not known is taken to last as long as the known ones of its file, or else of all,
    at the median.
    """
    known = {test: _whole(seconds[test]) for test in tests if test in seconds}
    if not known:
        return dict.fromkeys(tests, _UNITS_OF_TIME)
    files: dict[str, list[int]] = {}
    for test, taken in known.items():
        files.setdefault(_file(test), []).append(taken)
    usual = _median(known.values())
    usual_of = {file: _median(taken) for file, taken in files.items()}
    return {
        test: known[test] if test in known else usual_of.get(_file(test), usual) for test in tests
    }


def divide(units: Mapping[str, int], of: int) -> dict[str, int]:
    """Return unit -> shard, from 1 to ``of``.

    Args:
        units: unit -> how long it takes.
        of: how many shards.

    """
    most = _fair(units.values(), of) * (100 + _SLACK) // 100
    loads = [0] * of
    emptiest = [(0, number) for number in range(of)]
    parts: dict[str, int] = {}

    def order(unit: str) -> tuple[int, int, str]:
        # Durations of about the same size count as the same: they change from run to run.
        return (-units[unit].bit_length(), _hash("order", unit), unit)

    for unit in sorted(units, key=order):
        number = _hash("shard", unit) % of
        if loads[number] + units[unit] > most:
            # What was put on the heap before its shard was filled further is not true any more.
            while loads[emptiest[0][1]] != emptiest[0][0]:
                heapq.heappop(emptiest)
            number = emptiest[0][1]
        loads[number] += units[unit]
        heapq.heappush(emptiest, (loads[number], number))
        parts[unit] = number + 1
    return parts


def _fair(taken: Collection[int], of: int) -> int:
    """Return how long a shard takes where all do, but those that one long unit fills."""
    left = sum(taken)
    for longest in sorted(taken, reverse=True):
        if of == 1 or longest * of <= left:
            break
        left -= longest
        of -= 1
    return -(-left // of)


def _whole(seconds: float) -> int:
    return max(1, int(seconds * _UNITS_OF_TIME))


def _file(test: str) -> str:
    return test.partition("::")[0]


def _median(numbers: Iterable[int]) -> int:
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2]


def _hash(use: str, unit: str) -> int:
    text = (use + "\0" + unit).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
