"""Where a test is in the sources."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.parsing import parsed

if TYPE_CHECKING:
    from pathlib import Path


def line_of(source: Path, test: str) -> int | None:
    """Return the line of a test's ``def`` from its node id; None if it isn't written there."""
    file, *names = test.partition("[")[0].split("::")
    scope: ast.AST | None = parsed(source / file)
    if scope is None:
        # The id may name what is no Python file; then it has no line.
        return None
    line = None
    for name in names:
        named = (
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == name
        )
        found = next(named, None)
        if found is None:
            return None
        scope, line = found, found.lineno
    return line
