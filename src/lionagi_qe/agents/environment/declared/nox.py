"""What nox installs, as far as ``noxfile.py`` can be read without running it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import InstallWords
from lionagi_qe.agents.environment.declared.pyproject_tables import group_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.declaration import Declaration

_TESTING = re.compile(r"(^|_)(unit_?)?(test|tests|testing|pytest)(_|$)|^unit$")


def in_nox(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    """Yield what the sessions install whose names say that they test."""
    try:
        tree = ast.parse((project / "noxfile.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        # Without a noxfile there are no sessions; one of a newer Python tells nothing here.
        return
    constants = _constants(tree)
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not _TESTING.search(node.name):
            continue
        if not any("session" in ast.unparse(each) for each in node.decorator_list):
            continue
        words, groups = _installed(node, constants)
        found = InstallWords.of(project, words)
        if known := [group for group in groups if group in pyproject.get("dependency-groups", {})]:
            found.lines += group_lines(project, pyproject, *known)
        yield found.as_declaration(f"noxfile.py {node.name}", "test", "tool")


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the module's names whose values are plain data."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                # Computed; what it is can't be told without running it.
                continue
    return found


def _installed(function: ast.FunctionDef, constants: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the words of ``session.install`` and the dependency groups that a session names."""
    words: list[str] = []
    groups: list[str] = []
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "dependency_groups":
            groups += [word for each in node.args for word in _words(each, constants)]
        elif node.func.attr == "install":
            words += [word for each in node.args for word in _words(each, constants)]
        elif node.func.attr in {"run", "run_install", "run_always"}:
            options = [word for each in node.args for word in _words(each, constants)]
            for option, value in zip(options, [*options[1:], ""], strict=True):
                name, _, attached = option.partition("=")
                if name in {"--group", "--only-group"}:
                    groups.append(attached or value)
                elif name == "--extra":
                    words.append(f".[{attached or value}]")
    return words, groups


def _words(node: ast.expr, constants: dict[str, Any]) -> list[str]:
    if isinstance(node, ast.Starred):
        return _words(node.value, constants)
    if isinstance(node, ast.Name):
        return _flat(constants.get(node.id))
    try:
        return _flat(ast.literal_eval(node))
    except ValueError:
        # Computed as well.
        return []


def _flat(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple | set):
        return [word for each in value for word in _flat(each)]
    return []
