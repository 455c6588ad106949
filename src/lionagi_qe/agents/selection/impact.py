"""Which tests a change needs, file by file: from the map of a test run, imports, and names."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lionagi_qe.agents.line_map import MappedFile, TestMap, hashes
from lionagi_qe.agents.project.imports import ImportGraph, tests_in
from lionagi_qe.agents.project.named_tests import is_test_file_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.project.diff import Change, Hunk

# They decide what is installed, collected and configured.
_CONFIGURATION = (
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    "noxfile.py",
    "*requirements*.txt",
    "requirements/*.txt",
    "*.lock",
)
_PROSE = (
    "*.md",
    "*.rst",
    "docs/*",
    "doc/*",
    "license*",
    "copying*",
    "authors*",
    "changes*",
    ".github/*",
    ".git*",
    ".pre-commit-config.yaml",
)


@dataclass(slots=True)
class Selection:
    """What a change needs.

    Attributes:
        tests: id -> why it is needed.
        new_files: test files that the map does not know; to be run as a whole.
        unknown: file -> what can't be known of the change to it.
        unreached: file -> its changed lines that no test runs.
    """

    tests: dict[str, str] = field(default_factory=dict[str, str])
    new_files: list[str] = field(default_factory=list[str])
    unknown: dict[str, str] = field(default_factory=dict[str, str])
    unreached: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def add(self, tests: frozenset[str], why: str) -> None:
        """Add tests; the first reason of each is kept."""
        for test in tests:
            self.tests.setdefault(test, why)


class Selector:
    """Chooses tests.

    Args:
        source: the project's tree as it is now.
        test_map: which tests run which lines, at some state of the project.
    """

    def __init__(self, source: Path, test_map: TestMap) -> None:
        self._map = test_map
        self._graph = ImportGraph(source)
        self._is_test = is_test_file_of(source)

    def select(self, changes: Mapping[str, Change]) -> Selection:
        """Return the tests that the changes need."""
        selection = Selection()
        for file, change in changes.items():
            self._take(file, change, selection)
        return selection

    def _take(self, file: str, change: Change, selection: Selection) -> None:
        name = PurePosixPath(file).name
        mapped = self._map.files.get(file)
        if any(fnmatch(file.lower(), pattern) for pattern in _CONFIGURATION):
            selection.add(self._map.tests, f"{file} can change what any test does")
        elif name.endswith(".py") and mapped is not None:
            self._take_product(file, change, mapped, selection)
        elif name.endswith(".py"):
            self._take_other_code(file, change, selection)
        elif any(fnmatch(file.lower(), pattern) for pattern in _PROSE):
            selection.unknown[file] = "no test was selected for it: it looks like prose"
        else:
            selection.add(self._map.tests, f"which tests read {file} is not known")
            selection.unknown[file] = "which tests read it is not known, so all are needed"

    def _take_other_code(self, file: str, change: Change, selection: Selection) -> None:
        """Take tests, what they share, and code that no mapped run imported."""
        dependents = self._graph.dependents(file)
        needed = tests_in(dependents, self._map.tests)
        selection.add(needed, f"it is in, or imports, {file}")
        if self._is_test(file) and change.after is not None:
            known = {test.split("::")[0] for test in self._map.tests}
            if file not in known and PurePosixPath(file).name != "conftest.py":
                selection.new_files.append(file)
            if file in known:
                selection.unknown[file] = "tests that are new in it are not in the map"
        elif not needed and change.after is not None:
            selection.unknown[file] = "no test is known to import it"

    def _take_product(
        self, file: str, change: Change, mapped: MappedFile, selection: Selection
    ) -> None:
        before = _translation(change.before, mapped)
        after = _translation(change.after, mapped)
        at_import = False
        for hunk in change.hunks:
            if _is_blank(change, hunk):
                continue
            lines = _lines_in_map(hunk, before, after)
            if lines is None:
                selection.add(mapped.tests, f"{file} differs here from what was mapped")
                at_import = True
                continue
            selection.add(mapped.tests_of(lines), f"it runs changed lines of {file}")
            own = frozenset(lines)
            at_import = at_import or not own.isdisjoint(mapped.imported)
            if not mapped.tests_of(lines) and own.isdisjoint(mapped.imported):
                changed = range(hunk.after_first, hunk.after_last)
                selection.unreached.setdefault(file, []).extend(changed)
        if at_import:
            why = f"it runs {file}, of which something changed that runs on import"
            selection.add(mapped.tests, why)
            imports = tests_in(self._graph.dependents(file), self._map.tests)
            selection.add(imports, f"it imports {file}, of which something changed that runs then")


def _translation(side: Sequence[str] | None, mapped: MappedFile) -> dict[int, int]:
    """Return line -> the same line as the map numbers it, for those that it has."""
    if side is None:
        return {}
    matcher = SequenceMatcher(None, hashes(side), mapped.text, autojunk=False)
    return {
        block.a + offset + 1: block.b + offset + 1
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    }


def _lines_in_map(
    hunk: Hunk, before: Mapping[int, int], after: Mapping[int, int]
) -> set[int] | None:
    """Return the mapped lines that a change touches; None if the map knows neither side of it.

    Where lines were only added or only taken away, those around the place stand for them.
    """
    sides = (
        (range(hunk.before_first, hunk.before_last), before),
        (range(hunk.after_first, hunk.after_last), after),
    )
    found = {known[line] for lines, known in sides for line in lines if line in known}
    if found:
        return found
    empty = [(lines, known) for lines, known in sides if not lines]
    around = {
        known[line]
        for lines, known in empty
        for line in (lines.start - 1, lines.start)
        if line in known
    }
    return around or None


def _is_blank(change: Change, hunk: Hunk) -> bool:
    """Whether only comments and blank lines differ."""
    lines = [
        *(change.before or ())[hunk.before_first - 1 : hunk.before_last - 1],
        *(change.after or ())[hunk.after_first - 1 : hunk.after_last - 1],
    ]
    return all(not line.strip() or line.strip().startswith("#") for line in lines)
