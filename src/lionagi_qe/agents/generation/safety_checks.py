"""What the text of a candidate may hold that a language model wrote, before any of it is run.

A model repeats what it reads, orders in a docstring included. The guard refuses acts at run time;
these rules refuse the ways around it, and candidates that could prove nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.parsing import NOT_PARSED, reason, tree_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LONGEST = 20_000
# Of the standard library what computes; what acts on the machine is the guard's to judge.
_MODULES = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "ast",
        "asyncio",
        "base64",
        "bisect",
        "calendar",
        "collections",
        "contextlib",
        "copy",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "io",
        "itertools",
        "json",
        "logging",
        "math",
        "numbers",
        "operator",
        "pathlib",
        "pytest",
        "random",
        "re",
        "statistics",
        "string",
        "textwrap",
        "time",
        "types",
        "typing",
        "unicodedata",
        "unittest",
        "uuid",
        "zoneinfo",
    }
)
_NAMES = frozenset(
    {"__builtins__", "__import__", "breakpoint", "compile", "eval", "exec", "globals", "input"}
)
_ATTRIBUTES = frozenset(
    {
        "__builtins__",
        "__closure__",
        "__code__",
        "__getattribute__",
        "__globals__",
        "__import__",
        "__loader__",
        "__spec__",
        "__subclasses__",
        "f_back",
        "f_builtins",
        "f_globals",
        "gi_frame",
        "tb_frame",
    }
)
_CHECKS = frozenset({"raises", "warns", "fail", "deprecated_call"})


def objection(source: str, known: Collection[str]) -> str | None:
    """Return why a candidate isn't tried; None if it may be.

    Args:
        source: its text.
        known: top-level modules of the project and those of others' packages that it imports.

    """
    if len(source) > LONGEST:
        return f"it has more than {LONGEST} characters"
    try:
        tree = tree_of(source)
    except NOT_PARSED as error:
        return f"it is no Python: {reason(error)}"
    names = [node.name for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    if not any(name.startswith("test") for name in names):
        return "it has no test function"
    if not any(_checks(node) for node in ast.walk(tree)):
        return "it checks nothing: no assert, no pytest.raises"
    return next(_forbidden(tree, {*_MODULES, *known}), None)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _checks(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in _CHECKS or node.func.attr.startswith("assert")


def _forbidden(tree: ast.AST, modules: Collection[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _unknown((alias.name for alias in node.names), modules)
        elif isinstance(node, ast.ImportFrom):
            yield from _unknown(["." if node.level else str(node.module)], modules)
        elif isinstance(node, ast.Name) and node.id in _NAMES:
            yield f"it uses {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
            yield f"it uses {node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # As an argument of getattr or import_module, say.
            if node.value.startswith("__") and node.value in _ATTRIBUTES | _NAMES:
                yield f"it names {node.value}"
            elif "aqe_" in node.value.lower():
                yield "it names what belongs to aqe"


def _unknown(names: Iterator[str] | list[str], modules: Collection[str]) -> Iterator[str]:
    for name in names:
        top = name.partition(".")[0]
        if top not in modules:
            yield f"it imports {name}, which is not for generated tests"
