"""Which test runs which line: measured by coverage.py, kept between runs."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.execution import process
from lionagi_qe.agents.execution.coverage_settings import DATA_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination

# Asks the recorder for contexts, and coverage.py for a way of measuring that can tell them apart.
VARIABLES = {"AQE_CONTEXTS": "1", "COVERAGE_CORE": "ctrace"}
_TIMEOUT = 300.0
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


async def read_map(examination: Examination, tests: Iterable[str]) -> TestMap | str:
    """Return the map that the test run left in coverage.py's data, or why there is none."""
    workspace, environment = examination.workspace, examination.environment
    written = coverage_data.contexts_path(workspace)
    if coverage_data.reported(workspace) and written.exists():
        return _of_document(_read(written), workspace.source, workspace.commit, tests)
    target = workspace.artifacts / "test_map.json"
    completed = await process.run(
        environment.command("aqe_contexts", str(workspace.artifacts / DATA_FILE), str(target)),
        cwd=workspace.source,
        env=environment.variables(workspace),
        log=workspace.artifacts / "test_map.log",
        timeout=examination.seconds(_TIMEOUT),
    )
    if completed.exit_code != 0:
        said = workspace.shown(completed.output).strip().splitlines()
        return f"reading coverage.py's contexts {completed.how}: {said[-1] if said else ''}"
    return _of_document(_read(target), workspace.source, workspace.commit, tests)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _of_document(
    document: Mapping[str, Any], source: Path, commit: str | None, tests: Iterable[str]
) -> TestMap:
    names: list[str] = document["tests"]
    files: dict[str, MappedFile] = {}
    for path, mapped in document["files"].items():
        place = source / path
        if not place.is_file() or not place.is_relative_to(source):
            continue
        text = place.read_text(encoding="utf-8", errors="replace")
        lines = {
            int(line): frozenset(names[index] for index in indices)
            for line, indices in mapped["lines"].items()
        }
        imported = set[int](mapped["imported"])
        _spread(text, lines, imported)
        name = place.relative_to(source).as_posix()
        files[name] = MappedFile(lines, frozenset(imported), hashes(text.splitlines()))
    return TestMap(commit, frozenset(tests), files)


def _spread(text: str, lines: dict[int, frozenset[str]], imported: set[int]) -> None:
    """Let every line of a statement count as run where its first one did."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        # It ran all the same, in the target's Python; then only first lines are known.
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        body: list[ast.stmt] = getattr(node, "body", [])
        last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
        for line in range(node.lineno + 1, last + 1):
            if node.lineno in lines:
                lines[line] = lines.get(line, frozenset()) | lines[node.lineno]
            if node.lineno in imported:
                imported.add(line)


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
