"""What a project tells pytest in its files."""

from __future__ import annotations

import ast
import configparser
import os
import shlex
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.search_ends import is_end
from lionagi_qe.agents.project.settings import read_pyproject, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


# Of pytest's own plugins the one that is not loaded unless a project asks for it.
_PYTEST_S_OWN = "pytester"
# In pytest's order; the first two and the next two count also where they say nothing.
_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
_SECTIONS = (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"))


def pytest_file(directory: Path) -> Path | None:
    """Return the file in a directory that configures pytest, if one does."""
    for name in _FILES:
        if (directory / name).is_file():
            return directory / name
    if read_pyproject(directory).get("tool", {}).get("pytest", {}):
        return directory / "pyproject.toml"
    for name, section in _SECTIONS:
        if _ini_section(directory / name, section) is not None:
            return directory / name
    return None


def settings_in(file: Path) -> dict[str, Any]:
    """Return what a file that configures pytest says."""
    if file.name == "pyproject.toml":
        tool = read_pyproject(file.parent).get("tool", {}).get("pytest", {})
        return tool.get("ini_options", tool)
    if file.suffix == ".toml":
        return read_toml(file).get("pytest", {})
    return _ini_section(file, dict(_SECTIONS).get(file.name, "pytest")) or {}


def pytest_settings(project: Path) -> dict[str, Any]:
    """Return the settings that hold for a project, be they of a directory above it."""
    file = _file_for(project)
    return {} if file is None else settings_in(file)


def words_in(settings: Mapping[str, Any], name: str) -> list[str]:
    """Return the words of a setting that holds some, ``addopts`` say."""
    value = settings.get(name)
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError:
            # pytest will say so.
            return []
    return [str(word) for word in value] if isinstance(value, list | tuple) else []


def enclosing_options(project: Path) -> list[str]:
    """Return what keeps tests' names the project's where a directory above configures pytest.

    As for whoever starts pytest in the project, the ``testpaths`` of that directory don't hold.
    """
    file = enclosing_file(project)
    if file is None:
        return []
    return ["--rootdir=.", *(["-o", "testpaths="] if "testpaths" in settings_in(file) else [])]


def enclosing_file(project: Path) -> Path | None:
    """Return the file of a directory above a project that configures pytest for it, if one does."""
    file = _file_for(project)
    return None if file is None or file.parent == project else file


def notes_on_settings(project: Path) -> list[str]:
    """Return what a reader should know of where pytest's settings come from."""
    file = enclosing_file(project)
    if file is None or is_end(file):
        return []
    return [
        f"pytest is configured by {os.path.relpath(file, project)}, with conftest.py from there"
    ]


def _file_for(project: Path) -> Path | None:
    return next((file for each in (project, *project.parents) if (file := pytest_file(each))), None)


def has_pytest_env_table(project: Path) -> bool:
    """Whether the project sets variables in a table that pytest-env reads, and pytest does not."""
    if "pytest_env" in read_pyproject(project).get("tool", {}):
        return True
    return any(
        "pytest_env" in read_toml(project / name) for name in ("pytest.toml", ".pytest.toml")
    )


def _ini_section(path: Path, section: str) -> dict[str, str] | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # pytest will complain of the same file, in its own words.
        return None
    return dict(parser[section]) if parser.has_section(section) else None


def is_only_of_unittest(file: Path) -> bool:
    """Whether a file has unittest's name for tests (``test*.py``), not pytest's, and holds some."""
    if not file.match("test*.py") or file.name.startswith("test_"):
        return False
    return file.name == "tests.py" or b"TestCase" in file.read_bytes()


def modules_named(statement: ast.AST) -> Iterator[str]:
    """Yield the modules that a statement imports by their whole names, or has pytest import."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        if statement.module and not statement.level:
            yield statement.module
    else:
        yield from _plugins_named(statement)


def _plugins_named(statement: ast.AST) -> Iterator[str]:
    """Yield the modules that a statement names as ``pytest_plugins``, as far as written out."""
    if not isinstance(statement, ast.Assign):
        return
    if ast.unparse(statement.targets[0]) != "pytest_plugins":
        return
    for each in ast.walk(statement.value):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            names = (name.strip() for name in each.value.split(","))
            yield from (name for name in names if name != _PYTEST_S_OWN)
