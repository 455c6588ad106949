"""Divides tests among the machines of a CI matrix: the same on each that knows the same durations.

A unit is what stays together: a test file, or in ``test`` mode a test, a class or a file whose
tests share fixtures. Each unit prefers shards in an order that its name alone decides. The longest
first, it goes to the first of them that is not full (consistent hashing with bounded loads). So
shards end about together, and another test or another duration moves few units.

Whole numbers alone, so that no machine rounds otherwise. Runs on every Python that pytest 7 runs
on, so it keeps to the standard library and to old syntax, and imports nothing of the fleet.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_UNITS_OF_TIME = 1000000
# By how many percent the first shard may end before the last one, where units are short. A shard is
# full at so much above its fair part that all but one of them, full, leave that much to the last.
_APART = 2


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
    fair = _fair(units.values(), of)
    most = fair + fair * _APART // (100 * of)
    loads = [0] * of
    parts: dict[str, int] = {}

    def order(unit: str) -> tuple[int, int, str]:
        # Durations of about the same size count as the same: they change from run to run.
        return (-units[unit].bit_length(), _hash("order", unit), unit)

    for unit in sorted(units, key=order):
        number = next(
            (each for each in _preferred(unit, of) if loads[each] + units[unit] <= most), None
        )
        if number is None:
            number = loads.index(min(loads))
        loads[number] += units[unit]
        parts[unit] = number + 1
    return parts


def _preferred(unit: str, of: int) -> Iterator[int]:
    """Yield all shards; where the first one takes the unit, for the price of one hash."""
    first = _hash("shard", unit) % of
    yield first
    others = (number for number in range(of) if number != first)
    yield from sorted(others, key=lambda number: _hash("shard" + str(number), unit))


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
