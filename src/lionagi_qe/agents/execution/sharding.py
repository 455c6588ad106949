"""Which tests go to which session: of those side by side here, or of a CI matrix elsewhere."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Unit = Literal["file", "test"]
# Each session collects all tests and makes the session's fixtures for itself, so that further ones
# gain less and less.
MOST_SESSIONS = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the tests that one session runs.

    Attributes:
        number: from 0.
        own: its test files; None for all that are not ``others``, also those that nobody knew of.
        others: the files of the other shards, where ``own`` is None.
        of: how many shards there are.
    """

    number: int
    own: frozenset[str] | None
    others: frozenset[str]
    of: int

    def as_document(self) -> dict[str, Any]:
        """Return what the session is told, JSON data; see ``inject/aqe_shard``."""
        return {
            "own": None if self.own is None else sorted(self.own),
            "others": sorted(self.others),
        }


@dataclass(frozen=True, slots=True)
class MatrixShard:
    """The part of the tests that one machine of a CI matrix runs.

    The division is made where the tests are collected, since nobody else knows them all.

    Attributes:
        part: from 1.
        of: how many shards there are.
        by: what may go to different shards: whole files, or tests that share no fixture of their
            class or module.
        seconds: test -> how long it took; the same for each shard, or the divisions differ.
    """

    part: int
    of: int
    by: Unit = "file"
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.part}/{self.of}"

    def as_document(self) -> dict[str, Any]:
        """Return what the session is told, JSON data; see ``inject/aqe_shard``."""
        return {
            "part": self.part,
            "of": self.of,
            "by": self.by,
            "seconds": dict(self.seconds),
        }


def shards_of(seconds: Mapping[str, float], sessions: int) -> list[Shard]:
    """Pack test files into at most ``sessions`` shards that take about as long: the longest first.

    Files stay whole, since their tests share fixtures of the module and its state. Fewer shards
    where there are fewer files; the first one takes whatever else is collected.

    Args:
        seconds: test -> how long it took.
        sessions: at most so many shards.

    """
    files = seconds_of_files(seconds)
    loads = [(0.0, number) for number in range(max(1, min(sessions, len(files))))]
    parts: list[set[str]] = [set() for _ in loads]
    for file in sorted(files, key=lambda file: (-files[file], file)):
        load, number = loads[0]
        parts[number].add(file)
        heapq.heapreplace(loads, (load + files[file], number))
    parts.sort(key=lambda part: (sum(files[file] for file in part), sorted(part)))
    return divided(parts[1:])


def divided(others: Iterable[Iterable[str]]) -> list[Shard]:
    """Return the shards of which all but the first are told, as ``told`` tells them."""
    parts = [frozenset(part) for part in others]
    of = len(parts) + 1
    first = Shard(0, None, frozenset(file for part in parts for file in part), of)
    rest = (Shard(number, part, frozenset(), of) for number, part in enumerate(parts, start=1))
    return [first, *rest]


def told(shards: Iterable[Shard]) -> list[list[str]]:
    """Return the files of all shards but the first, JSON data."""
    return [sorted(shard.own) for shard in shards if shard.own is not None]


def longest_shard(seconds: Mapping[str, float], shards: list[Shard]) -> float:
    """Return the seconds of the tests of the shard that takes longest."""
    files = seconds_of_files(seconds)
    loads = [sum(files[file] for file in shard.own) for shard in shards if shard.own is not None]
    return max([sum(files.values()) - sum(loads), *loads])


def seconds_of_files(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return test file -> seconds of its tests together."""
    files: dict[str, float] = {}
    for test, taken in seconds.items():
        file = test.partition("::")[0]
        files[file] = files.get(file, 0.0) + taken
    return files
