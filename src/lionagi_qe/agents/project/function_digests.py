"""Digests of the functions of a test file: whether a test's own text has changed."""

from __future__ import annotations

import ast
import hashlib
import textwrap
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.parsing import NOT_PARSED, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_LENGTH = 16


def digest_of(text: str) -> str:
    """Return a digest of a text."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_LENGTH]


def function_digests(text: str) -> dict[str, str]:
    """Return name -> digest of each function, decorators included; those of classes as ``A::f``.

    Blanks at the ends of lines and the indentation of the whole don't matter, nor does the place.
    A file that is no Python of this version has none.
    """
    try:
        tree = tree_of(text)
        return dict(_functions(tree.body, text.splitlines(), ""))
    except NOT_PARSED:
        # pytest tells why it can't be collected.
        return {}


def function_of(test: str) -> str:
    """Return the function of a test as ``function_digests`` names it; "" if it has none."""
    _, _, inside = test.partition("::")
    return inside.partition("[")[0]


def _functions(
    body: Iterable[ast.stmt], lines: list[str], around: str
) -> Iterable[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node.body, lines, f"{around}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            own = "\n".join(line.rstrip() for line in lines[first - 1 : node.end_lineno])
            yield f"{around}{node.name}", digest_of(textwrap.dedent(own))
