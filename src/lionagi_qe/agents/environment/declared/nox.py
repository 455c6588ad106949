"""What nox installs and sets, as far as ``noxfile.py`` can be read without running it."""

from __future__ import annotations

import ast
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.environment.declared.declaration import InstallWords
from lionagi_qe.agents.environment.declared.pyproject_tables import group_lines
from lionagi_qe.agents.environment.declared.variables import VariableDeclaration
from lionagi_qe.agents.project.parsing import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.environment.declared.declaration import Declaration

_TESTING = re.compile(r"(^|_)(unit_?)?(test|tests|testing|pytest)(_|$)|^unit$")


def in_nox(project: Path, pyproject: dict[str, Any]) -> Iterator[Declaration]:
    """Yield what the sessions install whose names say that they test, the plain one first."""
    for number, (node, constants) in enumerate(_sessions(project)):
        words, groups = _installed(node, constants)
        found = InstallWords.of(project, words)
        if known := [group for group in groups if group in pyproject.get("dependency-groups", {})]:
            found.lines += group_lines(project, pyproject, *known)
        # The others are variants of it.
        purpose = "other" if number else "test"
        yield found.as_declaration(f"noxfile.py {node.name}", purpose, "tool")


def set_by_nox(project: Path) -> Iterator[VariableDeclaration]:
    """Yield what those sessions set for all that they run, or for pytest."""
    for node, constants in _sessions(project):
        values: dict[str, str | None] = {}
        for each in ast.walk(node):
            match each:
                case ast.Assign(
                    targets=[
                        ast.Subscript(value=ast.Attribute(attr="env"), slice=ast.Constant(name))
                    ],
                    value=value,
                ):
                    values[str(name)] = _text(value, constants)
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="env"), attr="update")):
                    values |= _texts_of_call(each, constants)
                case ast.Call(func=ast.Attribute(attr="run")) if _runs_tests(each):
                    for keyword in each.keywords:
                        if keyword.arg == "env":
                            values |= _texts_of(keyword.value, constants)
                case _:
                    continue
        yield VariableDeclaration(f"noxfile.py {node.name}", "test", values)


def _runs_tests(call: ast.Call) -> bool:
    words = [ast.unparse(each) for each in call.args]
    return any(re.search(r"\b(pytest|unittest|coverage)\b", word) for word in words)


def _texts_of_call(call: ast.Call, constants: dict[str, Any]) -> dict[str, str | None]:
    found = {
        keyword.arg: _text(keyword.value, constants) for keyword in call.keywords if keyword.arg
    }
    for each in call.args:
        found |= _texts_of(each, constants)
    return found


def _texts_of(node: ast.expr, constants: dict[str, Any]) -> dict[str, str | None]:
    """Return the entries of a dictionary whose names are written out."""
    if isinstance(node, ast.Name):
        value = constants.get(node.id)
        return (
            {str(name): str(text) for name, text in value.items()}
            if isinstance(value, dict)
            else {}
        )
    if not isinstance(node, ast.Dict):
        return {}
    return {
        str(key.value): _text(value, constants)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    }


def _text(node: ast.expr, constants: dict[str, Any]) -> str | None:
    """Return the text that an expression is, None if it is computed."""
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.Name):
        value = constants.get(node.id)
    return value if isinstance(value, str) else None


def _sessions(project: Path) -> list[tuple[ast.FunctionDef, dict[str, Any]]]:
    """Return the sessions whose names say that they test, and the module's constants.

    Those come first whose names say nothing else.
    """
    tree = parsed(project / "noxfile.py")
    if tree is None:
        # Without a noxfile there are no sessions; one of a newer Python tells nothing here.
        return []
    constants = _constants(tree)
    sessions = [
        (node, constants)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and _TESTING.search(node.name)
        and any("session" in ast.unparse(each) for each in node.decorator_list)
    ]
    return sorted(sessions, key=lambda each: _TESTING.fullmatch(each[0].name) is None)


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
            for option, value in zip_longest(options, options[1:], fillvalue=""):
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
