"""Which test runs which line, as plain data that outlives the run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HASH = 8


@dataclass(frozen=True, slots=True)
class MappedFile:
    """One file of the product.

    Attributes:
        lines: line -> ids of the tests that ran it.
        imported: lines that ran while modules were imported, in no test.
        text: a hash of each line, to find it again when others have moved it.
    """

    lines: Mapping[int, frozenset[str]]
    imported: frozenset[int]
    text: tuple[str, ...]

    @property
    def tests(self) -> frozenset[str]:
        """Return all tests that ran a line of it."""
        return frozenset[str]().union(*self.lines.values())

    def tests_of(self, lines: Iterable[int]) -> frozenset[str]:
        """Return the tests that ran one of the lines."""
        return frozenset[str]().union(*(self.lines.get(line, frozenset()) for line in lines))


@dataclass(frozen=True, slots=True)
class TestMap:
    """The whole product.

    Attributes:
        commit: of the project when it was measured, if under git.
        tests: all that ran.
        files: by name within the project.
    """

    commit: str | None
    tests: frozenset[str]
    files: Mapping[str, MappedFile]


def hashes(lines: Iterable[str]) -> tuple[str, ...]:
    """Return a short hash of each line, its indentation included."""
    return tuple(
        hashlib.sha256(line.rstrip().encode(errors="surrogateescape")).hexdigest()[:_HASH]
        for line in lines
    )


def as_entry(file: str, mapped: MappedFile) -> dict[str, Any]:
    """Return a file of a map as JSON data; lines that the same tests run share one list."""
    tests = sorted(mapped.tests)
    numbers = {test: number for number, test in enumerate(tests)}
    groups: dict[frozenset[str], list[int]] = {}
    for line, names in mapped.lines.items():
        groups.setdefault(names, []).append(line)
    return {
        "file": file,
        "tests": tests,
        "groups": [
            {"lines": sorted(lines), "tests": sorted(numbers[name] for name in names)}
            for names, lines in groups.items()
        ],
        "imported": sorted(mapped.imported),
        "text": list(mapped.text),
    }


def of_entry(entry: Mapping[str, Any]) -> MappedFile:
    """Return what ``as_entry`` wrote."""
    tests: list[str] = entry["tests"]
    lines: dict[int, frozenset[str]] = {}
    for group in entry["groups"]:
        names = frozenset(tests[number] for number in group["tests"])
        lines.update(dict.fromkeys(group["lines"], names))
    return MappedFile(lines, frozenset(entry["imported"]), tuple(entry["text"]))
