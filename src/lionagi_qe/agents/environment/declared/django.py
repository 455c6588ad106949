"""Which settings Django's own way to run the tests takes: its programs, and commands for these."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.declared.noted_commands import noted_commands
from lionagi_qe.agents.environment.declared.variables import SOURCE, VariableDeclaration
from lionagi_qe.agents.project.parsing import parsed
from lionagi_qe.agents.project.pytest_settings import pytest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = "DJANGO_SETTINGS_MODULE"
_PROGRAMS = ("runtests.py", "manage.py", "*/runtests.py", "*/manage.py")
# django-admin test --settings=tests.settings; as words of a list, too.
_COMMAND = re.compile(r"""\btest\b[^\n]{0,200}?--settings["']?[ =,]{1,3}["']?(\w[\w.]{0,200})""")
_NO_PLACES_OF_TESTS = frozenset({"demo", "demos", "docs", "example", "examples", "sample"})


def set_for_django(project: Path) -> Iterator[VariableDeclaration]:
    """Yield the settings that each such program or command names, if they are there.

    None where the project tells them to pytest itself.
    """
    if _are_told(project):
        return
    yield from _of_programs(project)
    for origin, text in noted_commands(project):
        for name in _COMMAND.findall(text):
            if _is_module(project, name):
                yield VariableDeclaration(origin, "test", {SETTINGS: name})


def _of_programs(project: Path) -> Iterator[VariableDeclaration]:
    for pattern in _PROGRAMS:
        for path in sorted(project.glob(pattern)):
            name = _settings_in(path)
            if name is None or path.parent.name in _NO_PLACES_OF_TESTS:
                continue
            if not any(_is_module(root, name) for root in (path.parent, project)):
                continue
            values = {SETTINGS: name}
            if path.parent != project:
                values["PYTHONPATH"] = f"{SOURCE}/{path.parent.relative_to(project).as_posix()}"
            origin = path.relative_to(project).as_posix()
            yield VariableDeclaration(origin, "test", values)


def _is_module(root: Path, name: str) -> bool:
    place = root / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").is_file()


def _are_told(project: Path) -> bool:
    settings = pytest_settings(project)
    if SETTINGS in settings or SETTINGS.lower() in settings or "--ds" in str(settings):
        return True
    files = [*project.glob("conftest.py"), *project.glob("*/conftest.py")]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return any(SETTINGS in text or "settings.configure" in text for text in texts)


def _settings_in(path: Path) -> str | None:
    tree = parsed(path)
    if tree is None:
        # It names no settings; pytest says what it lacks.
        return None
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="setdefault"),
                args=[ast.Constant(value=name), ast.Constant(value=str(settings))],
            ) if name == SETTINGS:
                return settings
            case ast.Assign(
                targets=[ast.Subscript(slice=ast.Constant(value=name))],
                value=ast.Constant(value=str(settings)),
            ) if name == SETTINGS:
                return settings
            case _:
                continue
    return None
