"""Which test runs which line: measured by coverage.py, kept between runs."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage.settings import DATA_FILE
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.line_map import MappedFile, TestMap, hashes
from lionagi_qe.agents.project.parsing import NOT_PARSED, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination

# Asks the recorder for contexts, and coverage.py for a way of measuring that can tell them apart.
VARIABLES = {"AQE_CONTEXTS": "1", "COVERAGE_CORE": "ctrace"}
_TIMEOUT = 300.0


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
        tree = tree_of(text)
    except NOT_PARSED:
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
