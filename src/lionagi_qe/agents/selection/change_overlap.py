"""How much a test has to do with what changed: from the map of tests to lines of an earlier run."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from lionagi_qe.agents.line_map import hashes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.line_map import MappedFile, TestMap
    from lionagi_qe.agents.project.diff import Diff

# What runs on import may matter to any test that runs the file, but rarely does.
_IMPORT_WEIGHT = 0.25


def touched(source: Path, test_map: TestMap, diff: Diff | None = None) -> dict[str, float]:
    """Return test -> how much it has to do with the change, above 0 to 1; others have nothing.

    The change is what differs from the texts that were mapped, and what the diff adds. Counted is
    the share of the changed places that a test runs, for one half by itself, for the other weighed
    by how much else the test runs: the less, the more it is about them. Costs a comparison of
    each mapped file that differs.
    """
    places = list(_places(source, test_map, diff))
    if not places:
        return {}
    total = sum(weight for _, weight in places)
    shares: Counter[str] = Counter()
    for tests, weight in places:
        shares.update(dict.fromkeys(tests, weight / total))
    sizes = Counter(
        test for file in test_map.files.values() for tests in file.lines.values() for test in tests
    )
    least = min(sizes[test] for test in shares)
    return {test: share * (1 + least / sizes[test]) / 2 for test, share in shares.items()}


def _places(
    source: Path, test_map: TestMap, diff: Diff | None
) -> Iterator[tuple[frozenset[str], float]]:
    """Yield the tests that run each changed place that any test runs, and the place's weight."""
    for name, mapped in test_map.files.items():
        path = source / name
        text = path.read_bytes().decode(errors="replace").splitlines() if path.is_file() else []
        now = hashes(text)
        added = frozenset[int]() if diff is None else diff.added(name)
        if now == mapped.text and not added:
            continue
        for lines in _changed(mapped, now, added):
            tests = mapped.tests_of(lines)
            if tests:
                yield tests, 1.0
            elif not mapped.imported.isdisjoint(lines) and mapped.tests:
                yield mapped.tests, _IMPORT_WEIGHT


def _changed(
    mapped: MappedFile, now: tuple[str, ...], added: frozenset[int]
) -> Iterator[range | set[int]]:
    """Yield the lines of each changed place, as the map numbers them.

    Where lines were only added, those around the place stand for them.
    """
    matcher = SequenceMatcher(None, mapped.text, now, autojunk=False)
    for tag, first, last, now_first, now_last in matcher.get_opcodes():
        if tag == "equal":
            since_base = added.intersection(range(now_first + 1, now_last + 1))
            yield from ({line - now_first + first} for line in sorted(since_base))
        elif tag == "insert":
            yield _around(mapped, first)
        else:
            yield range(first + 1, last + 1)


def _around(mapped: MappedFile, before: int) -> set[int]:
    """Return the nearest lines with code above and below the end of line ``before``."""
    known = mapped.lines.keys() | mapped.imported
    above = (line for line in range(before, 0, -1) if line in known)
    below = (line for line in range(before + 1, len(mapped.text) + 1) if line in known)
    return {line for line in (next(above, None), next(below, None)) if line is not None}
